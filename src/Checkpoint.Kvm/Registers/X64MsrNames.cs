using System.Collections.Frozen;
using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// Names of x86 model specific registers, as the Intel SDM (volume 4), the AMD APM (volume 2, appendix A) and, for the
/// paravirtual ones, Documentation/virt/kvm/x86/msr.rst give them.
/// </summary>
public static class X64MsrNames
{
    private static readonly FrozenDictionary<uint, string> s_names = new Dictionary<uint, string>
    {
        [0x10] = "IA32_TSC", [0x1b] = "IA32_APIC_BASE", [0x3a] = "IA32_FEATURE_CONTROL", [0x3b] = "IA32_TSC_ADJUST",
        [0x48] = "IA32_SPEC_CTRL", [0x49] = "IA32_PRED_CMD", [0x8b] = "IA32_BIOS_SIGN_ID", [0x9e] = "IA32_SMBASE",
        [0xe1] = "IA32_UMWAIT_CONTROL", [0xe7] = "IA32_MPERF", [0xe8] = "IA32_APERF",
        [0xfe] = "IA32_MTRRCAP", [0x10a] = "IA32_ARCH_CAPABILITIES", [0x122] = "IA32_TSX_CTRL", [0x140] = "MISC_FEATURES_ENABLES",
        [0x174] = "IA32_SYSENTER_CS", [0x175] = "IA32_SYSENTER_ESP", [0x176] = "IA32_SYSENTER_EIP",
        [0x179] = "IA32_MCG_CAP", [0x17a] = "IA32_MCG_STATUS", [0x17b] = "IA32_MCG_CTL",
        [0x1a0] = "IA32_MISC_ENABLE", [0x1c4] = "IA32_XFD", [0x1c5] = "IA32_XFD_ERR", [0x1d9] = "IA32_DEBUGCTL",
        [0x1db] = "LASTBRANCHFROMIP", [0x1dc] = "LASTBRANCHTOIP", [0x1dd] = "LASTINTFROMIP", [0x1de] = "LASTINTTOIP",
        [0x200] = "IA32_MTRR_PHYSBASE0", [0x250] = "IA32_MTRR_FIX64K_00000", [0x258] = "IA32_MTRR_FIX16K_80000",
        [0x259] = "IA32_MTRR_FIX16K_A0000", [0x268] = "IA32_MTRR_FIX4K_C0000", [0x277] = "IA32_PAT", [0x2ff] = "IA32_MTRR_DEF_TYPE",
        [0x345] = "IA32_PERF_CAPABILITIES", [0x38d] = "IA32_FIXED_CTR_CTRL", [0x38e] = "IA32_PERF_GLOBAL_STATUS",
        [0x38f] = "IA32_PERF_GLOBAL_CTRL", [0x390] = "IA32_PERF_GLOBAL_OVF_CTRL", [0x3f1] = "IA32_PEBS_ENABLE",
        [0x480] = "IA32_VMX_BASIC", [0x491] = "IA32_VMX_VMFUNC", [0x4d0] = "IA32_MCG_EXT_CTL", [0x600] = "IA32_DS_AREA",
        [0x6a0] = "IA32_U_CET", [0x6a2] = "IA32_S_CET", [0x6a4] = "IA32_PL0_SSP", [0x6a5] = "IA32_PL1_SSP", [0x6a6] = "IA32_PL2_SSP",
        [0x6a7] = "IA32_PL3_SSP", [0x6a8] = "IA32_INTERRUPT_SSP_TABLE", [0x6e0] = "IA32_TSC_DEADLINE",
        [0x802] = "IA32_X2APIC_APICID", [0xd90] = "IA32_BNDCFGS", [0xda0] = "IA32_XSS",
        [0x11] = "KVM_WALL_CLOCK", [0x12] = "KVM_SYSTEM_TIME",
        [0x4b564d00] = "KVM_WALL_CLOCK_NEW", [0x4b564d01] = "KVM_SYSTEM_TIME_NEW", [0x4b564d02] = "KVM_ASYNC_PF_EN",
        [0x4b564d03] = "KVM_STEAL_TIME", [0x4b564d04] = "KVM_PV_EOI_EN", [0x4b564d05] = "KVM_POLL_CONTROL",
        [0x4b564d06] = "KVM_ASYNC_PF_INT", [0x4b564d07] = "KVM_ASYNC_PF_ACK", [0x4b564d08] = "KVM_MIGRATION_CONTROL",
        [0x40000000] = "HV_X64_GUEST_OS_ID", [0x40000001] = "HV_X64_HYPERCALL", [0x40000002] = "HV_X64_VP_INDEX",
        [0x40000003] = "HV_X64_RESET", [0x40000010] = "HV_X64_VP_RUNTIME", [0x40000020] = "HV_X64_TIME_REF_COUNT",
        [0x40000021] = "HV_X64_REFERENCE_TSC", [0x40000073] = "HV_X64_VP_ASSIST_PAGE", [0x40000080] = "HV_X64_SCONTROL",
        [0x40000100] = "HV_X64_CRASH_P0", [0x40000105] = "HV_X64_CRASH_CTL", [0x40000106] = "HV_X64_REENLIGHTENMENT_CONTROL",
        [0x40000107] = "HV_X64_TSC_EMULATION_CONTROL", [0x40000108] = "HV_X64_TSC_EMULATION_STATUS",
        [0xc0000080] = "IA32_EFER", [0xc0000081] = "IA32_STAR", [0xc0000082] = "IA32_LSTAR", [0xc0000083] = "IA32_CSTAR",
        [0xc0000084] = "IA32_FMASK", [0xc0000100] = "IA32_FS_BASE", [0xc0000101] = "IA32_GS_BASE",
        [0xc0000102] = "IA32_KERNEL_GS_BASE", [0xc0000103] = "IA32_TSC_AUX", [0xc0000104] = "AMD64_TSC_RATIO",
        [0xc0010000] = "K7_EVNTSEL0", [0xc0010004] = "K7_PERFCTR0", [0xc0010010] = "AMD64_SYSCFG", [0xc0010015] = "K7_HWCR",
        [0xc0010055] = "K8_INT_PENDING_MSG", [0xc0010117] = "AMD64_VM_HSAVE_PA", [0xc001011f] = "AMD64_VIRT_SPEC_CTRL",
        [0xc0010200] = "F15H_PERF_CTL0", [0xc0010201] = "F15H_PERF_CTR0", [0xc0011020] = "AMD64_LS_CFG",
        [0xc0011029] = "AMD64_DE_CFG", [0xc0000300] = "AMD64_PERF_CNTR_GLOBAL_STATUS", [0xc0000301] = "AMD64_PERF_CNTR_GLOBAL_CTL",
        [0xc0000302] = "AMD64_PERF_CNTR_GLOBAL_STATUS_CLR",
    }.ToFrozenDictionary();

    // What has a name by its range, each range from its first MSR to its last.
    private static readonly (uint First, uint Last)[] s_ranges =
    [
        (0xc1, 0xc8), (0x186, 0x18d), (0x200, 0x21f), (0x269, 0x26f), (0x309, 0x30c), (0x400, 0x47f), (0x4c1, 0x4c8),
        (0xc0010000, 0xc0010007), (0xc0010200, 0xc001020b),
    ];

    private static readonly FrozenDictionary<string, uint> s_indices = Named().ToFrozenDictionary(NameOf, StringComparer.OrdinalIgnoreCase);

    /// <summary>The MSRs that have a name.</summary>
    internal static IEnumerable<uint> Named() =>
        s_names.Keys.Concat(s_ranges.SelectMany(range => Enumerable.Range(0, (int)(range.Last - range.First) + 1).Select(i => range.First + (uint)i))).Distinct();

    /// <summary>The number behind a name; upper and lower case are the same.</summary>
    internal static bool TryGetIndex(string name, out uint index) => s_indices.TryGetValue(name, out index);

    /// <summary>The name of an MSR; for one without a name in this table its ranges' name, or <c>MSR 0x…</c>.</summary>
    /// <param name="index">The number that RDMSR takes in ECX.</param>
    public static string NameOf(uint index) => s_names.TryGetValue(index, out var name) ? name : NameInRange(index);

    private static string NameInRange(uint index) => index switch
    {
        >= 0xc1 and <= 0xc8 => Numbered("IA32_PERFCTR", index - 0xc1),
        >= 0x186 and <= 0x18d => Numbered("IA32_PERFEVTSEL", index - 0x186),
        >= 0x200 and <= 0x21f => Numbered((index & 1) == 0 ? "IA32_MTRR_PHYSBASE" : "IA32_MTRR_PHYSMASK", (index - 0x200) / 2),
        >= 0x269 and <= 0x26f => string.Create(CultureInfo.InvariantCulture, $"IA32_MTRR_FIX4K_{0xc8000 + ((index - 0x269) * 0x8000):X5}"),
        >= 0x309 and <= 0x30c => Numbered("IA32_FIXED_CTR", index - 0x309),
        >= 0x400 and <= 0x47f => string.Create(CultureInfo.InvariantCulture, $"IA32_MC{(index - 0x400) / 4}_{(index & 3) switch { 0 => "CTL", 1 => "STATUS", 2 => "ADDR", _ => "MISC" }}"),
        >= 0x4c1 and <= 0x4c8 => Numbered("IA32_A_PMC", index - 0x4c1),
        >= 0xc0010000 and <= 0xc0010003 => Numbered("K7_EVNTSEL", index - 0xc0010000),
        >= 0xc0010004 and <= 0xc0010007 => Numbered("K7_PERFCTR", index - 0xc0010004),
        >= 0xc0010200 and <= 0xc001020b => Numbered((index & 1) == 0 ? "F15H_PERF_CTL" : "F15H_PERF_CTR", (index - 0xc0010200) / 2),
        _ => string.Create(CultureInfo.InvariantCulture, $"MSR 0x{index:x}"),
    };

    private static string Numbered(string name, uint number) => name + number.ToString(CultureInfo.InvariantCulture);
}
