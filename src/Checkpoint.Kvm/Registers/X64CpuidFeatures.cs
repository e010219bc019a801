using System.Collections.Frozen;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// The CPUID registers whose bits are features, and the features' names: as the Intel SDM (volume 2, CPUID) and the AMD APM (volume 3,
/// appendix E) call them, and for KVM's own leaf Documentation/virt/kvm/x86/cpuid.rst.
/// </summary>
internal static class X64CpuidFeatures
{
    private const string Unnamed = "-";

    // Bits that belong to a number and are no features, such as MAWAU.
    private const string NoFeature = ".";

    // Bit 0 first; "-" is a bit without a name. What is left out at the end has no name either.
    private static readonly FrozenDictionary<(uint Leaf, uint Index, X64CpuidRegister Register), string[]> s_names =
        new Dictionary<(uint, uint, X64CpuidRegister), string>
        {
            [(1, 0, X64CpuidRegister.Ecx)] =
                "sse3 pclmulqdq dtes64 monitor ds_cpl vmx smx eist tm2 ssse3 cnxt_id sdbg fma cmpxchg16b xtpr pdcm "
                + "- pcid dca sse4_1 sse4_2 x2apic movbe popcnt tsc_deadline aes xsave osxsave avx f16c rdrand hypervisor",
            [(1, 0, X64CpuidRegister.Edx)] =
                "fpu vme de pse tsc msr pae mce cx8 apic - sep mtrr pge mca cmov "
                + "pat pse36 psn clfsh - ds acpi mmx fxsr sse sse2 ss htt tm ia64 pbe",
            [(6, 0, X64CpuidRegister.Eax)] =
                "dts turbo_boost arat - pln ecmd ptm hwp hwp_notification hwp_activity_window hwp_epp hwp_package - hdc turbo_boost_max_3 "
                + "hwp_capabilities hwp_peci hwp_flexible hwp_fast_request hw_feedback hwp_ignore_idle - - thread_director therm_interrupt",
            [(7, 0, X64CpuidRegister.Ebx)] =
                "fsgsbase tsc_adjust sgx bmi1 hle avx2 fdp_excptn_only smep bmi2 erms invpcid rtm rdt_m no_fpu_cs_ds mpx rdt_a "
                + "avx512f avx512dq rdseed adx smap avx512_ifma pcommit clflushopt clwb intel_pt avx512pf avx512er avx512cd sha avx512bw avx512vl",
            [(7, 0, X64CpuidRegister.Ecx)] =
                "prefetchwt1 avx512_vbmi umip pku ospke waitpkg avx512_vbmi2 cet_ss gfni vaes vpclmulqdq avx512_vnni avx512_bitalg tme_en "
                + "avx512_vpopcntdq - la57 . . . . . rdpid kl bus_lock_detect cldemote - movdiri movdir64b enqcmd sgx_lc pks",
            [(7, 0, X64CpuidRegister.Edx)] =
                "- sgx_keys avx512_4vnniw avx512_4fmaps fsrm uintr - - avx512_vp2intersect srbds_ctrl md_clear rtm_always_abort - "
                + "rtm_force_abort serialize hybrid tsxldtrk - pconfig arch_lbr cet_ibt - amx_bf16 avx512_fp16 amx_tile amx_int8 "
                + "ibrs_ibpb stibp l1d_flush arch_capabilities core_capabilities ssbd",
            [(7, 1, X64CpuidRegister.Eax)] =
                "sha512 sm3 sm4 rao_int avx_vnni avx512_bf16 lass cmpccxadd arch_perfmon_ext - fzrm fsrs fsrc - - - "
                + "- fred lkgs wrmsrns nmi_src amx_fp16 hreset avx_ifma - - lam msrlist - - invd_disable movrs",

            // MSR_IMM apart, KVM offers no guest any of these: there a guest has one only from a VMM that invented it.
            [(7, 1, X64CpuidRegister.Ebx)] = "ppin pbndkb - cpuidmaxval_lim_rmv",
            [(7, 1, X64CpuidRegister.Ecx)] = "- - legacy_reduced_isa - sipi64 msr_imm",
            [(7, 1, X64CpuidRegister.Edx)] =
                "- - - - avx_vnni_int8 avx_ne_convert - - amx_complex - avx_vnni_int16 - - utmr prefetchi user_msr "
                + "- uiret_uif cet_sss avx10 - apx_f - mwait",
            [(7, 2, X64CpuidRegister.Edx)] = "psfd ipred_ctrl rrsba_ctrl ddpd_u bhi_ctrl mcdt_no uc_lock_disable monitor_mitg_no",
            [(0xd, 0, X64CpuidRegister.Eax)] = "x87 sse avx bndregs bndcsr opmask zmm_hi256 hi16_zmm - pkru - - - - - - - tilecfg tiledata apx",
            [(0xd, 0, X64CpuidRegister.Edx)] = "- - - - - - - - - - - - - - - - - - - - - - - - - - - - - - lwp",
            [(0xd, 1, X64CpuidRegister.Eax)] = "xsaveopt xsavec xgetbv_ecx1 xsaves xfd",
            [(0xd, 1, X64CpuidRegister.Ecx)] = "- - - - - - - - pt - pasid cet_u cet_s hdc uintr lbr hwp",

            // Leaf 0x12's other registers are masks and sizes. An enclave's attributes (part 1) are compared with the host's.
            [(0x12, 0, X64CpuidRegister.Eax)] = "sgx1 sgx2 - - - enclv encls_c everifyreport2 - - eupdatesvn edeccssa",
            [(0x12, 1, X64CpuidRegister.Eax)] = "init debug mode64bit - provisionkey einittoken_key cet kss - - aex_notify",
            [(0x14, 0, X64CpuidRegister.Ebx)] =
                "cr3_filtering configurable_psb ip_filtering mtc ptwrite power_event_trace psb_pmi_preservation event_trace tnt_disable",
            [(0x14, 0, X64CpuidRegister.Ecx)] = "topa topa_multiple single_range trace_transport - - - - - - - - - - - - - - - - - - - - - - - - - - - lip",
            [(0x19, 0, X64CpuidRegister.Eax)] = "kl_cpl0_only kl_no_encrypt kl_no_decrypt",
            [(0x19, 0, X64CpuidRegister.Ebx)] = "aes_kle - aes_wide_kl - iwkey_backup",

            // The first four are those of leaf 7 once more.
            [(0x1e, 1, X64CpuidRegister.Eax)] = "amx_int8 amx_bf16 amx_complex amx_fp16 amx_fp8 amx_transpose amx_tf32 amx_avx512 amx_movrs",

            // The version is a number, see X64CpuidNames; the lengths of vectors are features.
            [(0x24, 0, X64CpuidRegister.Ebx)] = ". . . . . . . . - - - - - - - - avx10_128 avx10_256 avx10_512",
            [(0x8000_0001, 0, X64CpuidRegister.Ecx)] =
                "lahf_lm cmp_legacy svm extapic cr8_legacy abm sse4a misalignsse 3dnowprefetch osvw ibs xop skinit wdt - lwp "
                + "fma4 tce - nodeid_msr - tbm topoext perfctr_core perfctr_nb - bpext ptsc perfctr_llc mwaitx addr_mask_ext",
            [(0x8000_0001, 0, X64CpuidRegister.Edx)] =
                "fpu vme de pse tsc msr pae mce cx8 apic - syscall mtrr pge mca cmov "
                + "pat pse36 - mp nx - mmxext mmx fxsr fxsr_opt pdpe1gb rdtscp - lm 3dnowext 3dnow",
            [(0x8000_0007, 0, X64CpuidRegister.Edx)] =
                "ts fid vid ttp tm - 100mhzsteps hwpstate invariant_tsc cpb eff_freq_ro proc_feedback proc_power_reporting - rapl fast_cppc",
            [(0x8000_0008, 0, X64CpuidRegister.Ebx)] =
                "clzero irperf rstrfperr invlpgb rdpru - mbe - mcommit wbnoinvd - - ibpb int_wbinvd ibrs stibp "
                + "ibrs_always stibp_always ibrs_preferred ibrs_same_mode no_efer_lmsle invlpgb_nested - ppin ssbd virt_ssbd ssbd_not_required "
                + "cppc psfd btc_no ibpb_ret",
            [(0x8000_000a, 0, X64CpuidRegister.Edx)] =
                "np lbrv svml nrips tsc_rate_msr vmcb_clean flush_by_asid decode_assists pmc_virt - pause_filter - pause_filter_threshold avic - "
                + "v_vmsave_vmload vgif gmet x2avic sss_check spec_ctrl rogpt - host_mce_override tlbi_ctl vnmi ibs_virt",
            [(0x8000_001f, 0, X64CpuidRegister.Eax)] =
                "sme sev page_flush_msr sev_es sev_snp vmpl rmpquery vmpl_sss secure_tsc tsc_aux_virt hw_enf_cache_coh 64bit_host "
                + "restricted_injection alternate_injection debug_virt prevent_host_ibs vte",
            [(0x8000_0021, 0, X64CpuidRegister.Eax)] =
                "no_nested_data_bp fs_gs_ns lfence_serializing smm_pgcfg_lock - verw_clear null_select_clears_base upper_address_ignore "
                + "automatic_ibrs no_smm_ctl_msr fsrs fsrc - prefetch_ctl_msr - - - cpuid_user_dis epsf - - - - - - - - sbpb ibpb_brtype srso_no",
            [(0x8000_0021, 0, X64CpuidRegister.Ecx)] = "- tsa_sq_no tsa_l1_no",
            [(0x4000_0001, 0, X64CpuidRegister.Eax)] =
                "kvm_clocksource kvm_nop_io_delay kvm_mmu_op kvm_clocksource2 kvm_async_pf kvm_steal_time kvm_pv_eoi kvm_pv_unhalt - "
                + "kvm_pv_tlb_flush kvm_async_pf_vmexit kvm_pv_send_ipi kvm_poll_control kvm_pv_sched_yield kvm_async_pf_int "
                + "kvm_msi_ext_dest_id kvm_hc_map_gpa_range kvm_migration_control - - - - - - kvm_clocksource_stable",
        }.ToFrozenDictionary(each => each.Key, each => each.Value.Split(' '));

    /// <summary>The registers whose bits are features.</summary>
    public static IEnumerable<(uint Leaf, uint Index, X64CpuidRegister Register)> Registers => s_names.Keys;

    /// <summary>Whether a bit stands for a feature, named or not.</summary>
    public static bool IsFeature(X64CpuidField field) =>
        field.Bits == 1 && s_names.TryGetValue((field.Leaf, field.Index, field.Register), out var names)
        && (field.Bit >= names.Length || names[field.Bit] != NoFeature);

    /// <summary>The name of a bit; null where it has none.</summary>
    public static string? NameOf(X64CpuidField field) =>
        s_names.TryGetValue((field.Leaf, field.Index, field.Register), out var names)
        && field.Bit < names.Length && names[field.Bit] is not (Unnamed or NoFeature)
            ? names[field.Bit]
            : null;
}
