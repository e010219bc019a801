using System.Collections.Frozen;
using System.Collections.Immutable;
using System.Globalization;

namespace Checkpoint.Kvm.Registers;

/// <summary>What a system register belongs to: it says which vCPUs have it in their list (KVM_GET_REG_LIST).</summary>
public enum Arm64RegisterGroup
{
    /// <summary>Every vCPU lists it.</summary>
    Base,

    /// <summary>Every vCPU lists it; it tells what the processor has, and KVM takes values within that.</summary>
    Identification,

    /// <summary>Every vCPU lists it; KVM takes back only the host's own value.</summary>
    Invariant,

    /// <summary>Every vCPU lists it; breakpoints, watchpoints and their control.</summary>
    Debug,

    /// <summary>Every vCPU lists it; the architected timers.</summary>
    Timer,

    /// <summary>Until Linux 6.12 every vCPU lists it, later only one with the feature.</summary>
    Optional,

    /// <summary>Listed where the vCPU has the feature, or not at all.</summary>
    Feature,

    /// <summary>KVM_ARM_VCPU_PTRAUTH_ADDRESS and KVM_ARM_VCPU_PTRAUTH_GENERIC.</summary>
    PointerAuth,

    /// <summary>KVM_ARM_VCPU_SVE.</summary>
    Sve,

    /// <summary>KVM_ARM_VCPU_PMU_V3.</summary>
    Pmu,

    /// <summary>Performance monitoring and profiling that KVM does not list.</summary>
    PmuOther,

    /// <summary>The GIC's processor interface; its state travels through the GIC device.</summary>
    Gic,

    /// <summary>KVM_ARM_VCPU_HAS_EL2.</summary>
    Hypervisor,

    /// <summary>A second name under which EL2 reaches a register of EL1.</summary>
    Alias,
}

/// <summary>An AArch64 system register with a name.</summary>
/// <param name="Name">The Arm architecture's name, <c>TCR_EL1</c>.</param>
/// <param name="Id">KVM's id, see <see cref="Arm64SystemRegisters.IdOf"/>.</param>
/// <param name="Group">What it belongs to.</param>
public readonly record struct Arm64SystemRegister(string Name, ulong Id, Arm64RegisterGroup Group);

/// <summary>
/// The AArch64 system registers by name: names and encodings of the Arm Architecture Reference Manual (DDI 0487, chapter D).
/// Registers whose value KVM keeps elsewhere (SP_EL1, ELR_EL1, SPSR_*, FPCR, FPSR) are not here: they are core registers,
/// and one name must not mean two ids.
/// </summary>
/// <remarks>
/// KVM's ids of the virtual timer are swapped, and as an ABI they stay so (arch/arm64/include/uapi/asm/kvm.h): the id with
/// CNTV_CVAL_EL0's encoding, 3 3 14 3 2, is KVM_REG_ARM_TIMER_CNT and holds the count; the id with CNTVCT_EL0's encoding,
/// 3 3 14 0 2, is KVM_REG_ARM_TIMER_CVAL and holds the compare value. Here each id bears the name of what it holds.
/// </remarks>
public static class Arm64SystemRegisters
{
    /// <summary>KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM64_SYSREG: what the ids of all system registers have in common.</summary>
    public const ulong IdBase = 0x6030_0000_0013_0000;

    private const int NumberedDebugRegisters = 16;
    private const int PmuCounters = 31;

    /// <summary>All that have a name, in the order of the tables below.</summary>
    public static ImmutableArray<Arm64SystemRegister> All { get; } =
    [
        // Identification registers with names; the whole block op0 3, op1 0, CRn 0, CRm 1 to 7 is listed, named or not.
        .. Of(Arm64RegisterGroup.Identification, [
            ("MPIDR_EL1", 3, 0, 0, 0, 5), ("ID_PFR0_EL1", 3, 0, 0, 1, 0), ("ID_PFR1_EL1", 3, 0, 0, 1, 1), ("ID_DFR0_EL1", 3, 0, 0, 1, 2),
            ("ID_AFR0_EL1", 3, 0, 0, 1, 3), ("ID_MMFR0_EL1", 3, 0, 0, 1, 4), ("ID_MMFR1_EL1", 3, 0, 0, 1, 5),
            ("ID_MMFR2_EL1", 3, 0, 0, 1, 6), ("ID_MMFR3_EL1", 3, 0, 0, 1, 7), ("ID_ISAR0_EL1", 3, 0, 0, 2, 0),
            ("ID_ISAR1_EL1", 3, 0, 0, 2, 1), ("ID_ISAR2_EL1", 3, 0, 0, 2, 2), ("ID_ISAR3_EL1", 3, 0, 0, 2, 3),
            ("ID_ISAR4_EL1", 3, 0, 0, 2, 4), ("ID_ISAR5_EL1", 3, 0, 0, 2, 5), ("ID_MMFR4_EL1", 3, 0, 0, 2, 6),
            ("ID_ISAR6_EL1", 3, 0, 0, 2, 7), ("MVFR0_EL1", 3, 0, 0, 3, 0), ("MVFR1_EL1", 3, 0, 0, 3, 1), ("MVFR2_EL1", 3, 0, 0, 3, 2),
            ("ID_PFR2_EL1", 3, 0, 0, 3, 4), ("ID_DFR1_EL1", 3, 0, 0, 3, 5), ("ID_MMFR5_EL1", 3, 0, 0, 3, 6),
            ("ID_AA64PFR0_EL1", 3, 0, 0, 4, 0), ("ID_AA64PFR1_EL1", 3, 0, 0, 4, 1), ("ID_AA64PFR2_EL1", 3, 0, 0, 4, 2),
            ("ID_AA64ZFR0_EL1", 3, 0, 0, 4, 4), ("ID_AA64SMFR0_EL1", 3, 0, 0, 4, 5), ("ID_AA64FPFR0_EL1", 3, 0, 0, 4, 7),
            ("ID_AA64DFR0_EL1", 3, 0, 0, 5, 0), ("ID_AA64DFR1_EL1", 3, 0, 0, 5, 1), ("ID_AA64DFR2_EL1", 3, 0, 0, 5, 2),
            ("ID_AA64AFR0_EL1", 3, 0, 0, 5, 4), ("ID_AA64AFR1_EL1", 3, 0, 0, 5, 5), ("ID_AA64ISAR0_EL1", 3, 0, 0, 6, 0),
            ("ID_AA64ISAR1_EL1", 3, 0, 0, 6, 1), ("ID_AA64ISAR2_EL1", 3, 0, 0, 6, 2), ("ID_AA64ISAR3_EL1", 3, 0, 0, 6, 3),
            ("ID_AA64MMFR0_EL1", 3, 0, 0, 7, 0), ("ID_AA64MMFR1_EL1", 3, 0, 0, 7, 1), ("ID_AA64MMFR2_EL1", 3, 0, 0, 7, 2),
            ("ID_AA64MMFR3_EL1", 3, 0, 0, 7, 3), ("ID_AA64MMFR4_EL1", 3, 0, 0, 7, 4)]),
        // The host processor's own identity: KVM takes back only the value that it gives.
        .. Of(Arm64RegisterGroup.Invariant, [
            ("MIDR_EL1", 3, 0, 0, 0, 0), ("REVIDR_EL1", 3, 0, 0, 0, 6), ("CLIDR_EL1", 3, 1, 0, 0, 1), ("AIDR_EL1", 3, 1, 0, 0, 7),
            ("CTR_EL0", 3, 3, 0, 0, 1)]),
        // Debug registers; the numbered ones follow in code.
        .. Of(Arm64RegisterGroup.Debug, [
            ("MDCCINT_EL1", 2, 0, 0, 2, 0), ("MDSCR_EL1", 2, 0, 0, 2, 2), ("OSLSR_EL1", 2, 0, 1, 1, 4), ("DBGVCR32_EL2", 2, 4, 0, 7, 0)]),
        // What every vCPU has.
        .. Of(Arm64RegisterGroup.Base, [
            ("SCTLR_EL1", 3, 0, 1, 0, 0), ("ACTLR_EL1", 3, 0, 1, 0, 1), ("CPACR_EL1", 3, 0, 1, 0, 2), ("TTBR0_EL1", 3, 0, 2, 0, 0),
            ("TTBR1_EL1", 3, 0, 2, 0, 1), ("TCR_EL1", 3, 0, 2, 0, 2), ("AFSR0_EL1", 3, 0, 5, 1, 0), ("AFSR1_EL1", 3, 0, 5, 1, 1),
            ("ESR_EL1", 3, 0, 5, 2, 0), ("FAR_EL1", 3, 0, 6, 0, 0), ("PAR_EL1", 3, 0, 7, 4, 0), ("MAIR_EL1", 3, 0, 10, 2, 0),
            ("AMAIR_EL1", 3, 0, 10, 3, 0), ("VBAR_EL1", 3, 0, 12, 0, 0), ("DISR_EL1", 3, 0, 12, 1, 1), ("CONTEXTIDR_EL1", 3, 0, 13, 0, 1),
            ("TPIDR_EL1", 3, 0, 13, 0, 4), ("CNTKCTL_EL1", 3, 0, 14, 1, 0), ("CSSELR_EL1", 3, 2, 0, 0, 0), ("TPIDR_EL0", 3, 3, 13, 0, 2),
            ("TPIDRRO_EL0", 3, 3, 13, 0, 3), ("DACR32_EL2", 3, 4, 3, 0, 0), ("IFSR32_EL2", 3, 4, 5, 0, 1), ("FPEXC32_EL2", 3, 4, 5, 3, 0)]),
        // Timers. See the remark of the type: the ids of CNTV_CVAL_EL0 and CNTVCT_EL0 are swapped in KVM's ABI.
        .. Of(Arm64RegisterGroup.Timer, [
            ("CNTPCT_EL0", 3, 3, 14, 0, 1), ("CNTP_CTL_EL0", 3, 3, 14, 2, 1), ("CNTP_CVAL_EL0", 3, 3, 14, 2, 2),
            ("CNTV_CTL_EL0", 3, 3, 14, 3, 1), ("CNTV_CVAL_EL0", 3, 3, 14, 0, 2), ("CNTVCT_EL0", 3, 3, 14, 3, 2)]),
        // Translation and permission extensions: until Linux 6.12 listed always, later only where the vCPU has the feature.
        .. Of(Arm64RegisterGroup.Optional, [
            ("TCR2_EL1", 3, 0, 2, 0, 3), ("PIRE0_EL1", 3, 0, 10, 2, 2), ("PIR_EL1", 3, 0, 10, 2, 3)]),
        // Listed only where the vCPU has the feature.
        .. Of(Arm64RegisterGroup.Feature, [
            ("SCTLR2_EL1", 3, 0, 1, 0, 3), ("POR_EL1", 3, 0, 10, 2, 4), ("POR_EL0", 3, 3, 10, 2, 4), ("S2POR_EL1", 3, 0, 10, 2, 5),
            ("RGSR_EL1", 3, 0, 1, 0, 5), ("GCR_EL1", 3, 0, 1, 0, 6), ("TFSR_EL1", 3, 0, 5, 6, 0), ("TFSRE0_EL1", 3, 0, 5, 6, 1),
            ("GMID_EL1", 3, 1, 0, 0, 4), ("TRFCR_EL1", 3, 0, 1, 2, 1), ("SMPRI_EL1", 3, 0, 1, 2, 4), ("SMCR_EL1", 3, 0, 1, 2, 6),
            ("SMIDR_EL1", 3, 1, 0, 0, 6), ("SMPRIMAP_EL2", 3, 4, 1, 2, 5), ("SVCR", 3, 3, 4, 2, 2), ("TPIDR2_EL0", 3, 3, 13, 0, 5),
            ("SCXTNUM_EL1", 3, 0, 13, 0, 7), ("SCXTNUM_EL0", 3, 3, 13, 0, 7), ("RNDR", 3, 3, 2, 4, 0), ("RNDRRS", 3, 3, 2, 4, 1),
            ("GCSCR_EL1", 3, 0, 2, 5, 0), ("GCSPR_EL1", 3, 0, 2, 5, 1), ("GCSCRE0_EL1", 3, 0, 2, 5, 2), ("GCSPR_EL0", 3, 3, 2, 5, 1),
            ("FPMR", 3, 3, 4, 4, 2), ("LORSA_EL1", 3, 0, 10, 4, 0), ("LOREA_EL1", 3, 0, 10, 4, 1), ("LORN_EL1", 3, 0, 10, 4, 2),
            ("LORC_EL1", 3, 0, 10, 4, 3), ("LORID_EL1", 3, 0, 10, 4, 7), ("ERRIDR_EL1", 3, 0, 5, 3, 0), ("ERRSELR_EL1", 3, 0, 5, 3, 1),
            ("ERXFR_EL1", 3, 0, 5, 4, 0), ("ERXCTLR_EL1", 3, 0, 5, 4, 1), ("ERXSTATUS_EL1", 3, 0, 5, 4, 2), ("ERXADDR_EL1", 3, 0, 5, 4, 3),
            ("ERXPFGF_EL1", 3, 0, 5, 4, 4), ("ERXPFGCTL_EL1", 3, 0, 5, 4, 5), ("ERXPFGCDN_EL1", 3, 0, 5, 4, 6),
            ("ERXMISC0_EL1", 3, 0, 5, 5, 0), ("ERXMISC1_EL1", 3, 0, 5, 5, 1), ("ERXMISC2_EL1", 3, 0, 5, 5, 2),
            ("ERXMISC3_EL1", 3, 0, 5, 5, 3), ("RMR_EL1", 3, 0, 12, 0, 2), ("RVBAR_EL1", 3, 0, 12, 0, 1), ("ISR_EL1", 3, 0, 12, 1, 0),
            ("ACCDATA_EL1", 3, 0, 13, 0, 5), ("DCZID_EL0", 3, 3, 0, 0, 7), ("CCSIDR_EL1", 3, 1, 0, 0, 0), ("CCSIDR2_EL1", 3, 1, 0, 0, 2),
            ("CNTFRQ_EL0", 3, 3, 14, 0, 0), ("CNTPCTSS_EL0", 3, 3, 14, 0, 5), ("CNTVCTSS_EL0", 3, 3, 14, 0, 6),
            ("CNTP_TVAL_EL0", 3, 3, 14, 2, 0), ("CNTV_TVAL_EL0", 3, 3, 14, 3, 0), ("CNTPS_TVAL_EL1", 3, 7, 14, 2, 0),
            ("CNTPS_CTL_EL1", 3, 7, 14, 2, 1), ("CNTPS_CVAL_EL1", 3, 7, 14, 2, 2), ("OSDTRRX_EL1", 2, 0, 0, 0, 2),
            ("OSDTRTX_EL1", 2, 0, 0, 3, 2), ("OSECCR_EL1", 2, 0, 0, 6, 2), ("MDRAR_EL1", 2, 0, 1, 0, 0), ("OSLAR_EL1", 2, 0, 1, 0, 4),
            ("OSDLR_EL1", 2, 0, 1, 3, 4), ("DBGPRCR_EL1", 2, 0, 1, 4, 4), ("DBGCLAIMSET_EL1", 2, 0, 7, 8, 6),
            ("DBGCLAIMCLR_EL1", 2, 0, 7, 9, 6), ("DBGAUTHSTATUS_EL1", 2, 0, 7, 14, 6), ("MDCCSR_EL0", 2, 3, 0, 1, 0),
            ("DBGDTR_EL0", 2, 3, 0, 4, 0), ("DBGDTRRX_EL0", 2, 3, 0, 5, 0), ("MDSELR_EL1", 2, 0, 0, 4, 2)]),
        // Keys of pointer authentication, each in two halves.
        .. Of(Arm64RegisterGroup.PointerAuth, [
            ("APIAKEYLO_EL1", 3, 0, 2, 1, 0), ("APIAKEYHI_EL1", 3, 0, 2, 1, 1), ("APIBKEYLO_EL1", 3, 0, 2, 1, 2),
            ("APIBKEYHI_EL1", 3, 0, 2, 1, 3), ("APDAKEYLO_EL1", 3, 0, 2, 2, 0), ("APDAKEYHI_EL1", 3, 0, 2, 2, 1),
            ("APDBKEYLO_EL1", 3, 0, 2, 2, 2), ("APDBKEYHI_EL1", 3, 0, 2, 2, 3), ("APGAKEYLO_EL1", 3, 0, 2, 3, 0),
            ("APGAKEYHI_EL1", 3, 0, 2, 3, 1)]),
        // The vector length that EL1 and EL0 may use.
        .. Of(Arm64RegisterGroup.Sve, [
            ("ZCR_EL1", 3, 0, 1, 2, 0)]),
        // Performance monitors; the numbered ones follow in code.
        .. Of(Arm64RegisterGroup.Pmu, [
            ("PMINTENSET_EL1", 3, 0, 9, 14, 1), ("PMINTENCLR_EL1", 3, 0, 9, 14, 2), ("PMCR_EL0", 3, 3, 9, 12, 0),
            ("PMCNTENSET_EL0", 3, 3, 9, 12, 1), ("PMCNTENCLR_EL0", 3, 3, 9, 12, 2), ("PMOVSCLR_EL0", 3, 3, 9, 12, 3),
            ("PMSWINC_EL0", 3, 3, 9, 12, 4), ("PMSELR_EL0", 3, 3, 9, 12, 5), ("PMCCNTR_EL0", 3, 3, 9, 13, 0),
            ("PMUSERENR_EL0", 3, 3, 9, 14, 0), ("PMOVSSET_EL0", 3, 3, 9, 14, 3), ("PMCCFILTR_EL0", 3, 3, 14, 15, 7)]),
        // Performance monitors and profiling that KVM's list leaves out.
        .. Of(Arm64RegisterGroup.PmuOther, [
            ("PMCEID0_EL0", 3, 3, 9, 12, 6), ("PMCEID1_EL0", 3, 3, 9, 12, 7), ("PMXEVTYPER_EL0", 3, 3, 9, 13, 1),
            ("PMXEVCNTR_EL0", 3, 3, 9, 13, 2), ("PMMIR_EL1", 3, 0, 9, 14, 6), ("PMSCR_EL1", 3, 0, 9, 9, 0), ("PMSICR_EL1", 3, 0, 9, 9, 2),
            ("PMSIRR_EL1", 3, 0, 9, 9, 3), ("PMSFCR_EL1", 3, 0, 9, 9, 4), ("PMSEVFR_EL1", 3, 0, 9, 9, 5), ("PMSLATFR_EL1", 3, 0, 9, 9, 6),
            ("PMSIDR_EL1", 3, 0, 9, 9, 7), ("PMBLIMITR_EL1", 3, 0, 9, 10, 0), ("PMBPTR_EL1", 3, 0, 9, 10, 1), ("PMBSR_EL1", 3, 0, 9, 10, 3),
            ("PMBIDR_EL1", 3, 0, 9, 10, 7), ("PMSNEVFR_EL1", 3, 0, 9, 9, 1), ("TRBLIMITR_EL1", 3, 0, 9, 11, 0),
            ("TRBPTR_EL1", 3, 0, 9, 11, 1), ("TRBBASER_EL1", 3, 0, 9, 11, 2), ("TRBSR_EL1", 3, 0, 9, 11, 3), ("TRBMAR_EL1", 3, 0, 9, 11, 4),
            ("TRBTRG_EL1", 3, 0, 9, 11, 6), ("TRBIDR_EL1", 3, 0, 9, 11, 7), ("AMCR_EL0", 3, 3, 13, 2, 0), ("AMCFGR_EL0", 3, 3, 13, 2, 1),
            ("AMCGCR_EL0", 3, 3, 13, 2, 2), ("AMUSERENR_EL0", 3, 3, 13, 2, 3), ("AMCNTENCLR0_EL0", 3, 3, 13, 2, 4),
            ("AMCNTENSET0_EL0", 3, 3, 13, 2, 5), ("AMCNTENCLR1_EL0", 3, 3, 13, 3, 0), ("AMCNTENSET1_EL0", 3, 3, 13, 3, 1)]),
        // The interrupt controller's processor interface; reached through the GIC device, named here for messages.
        .. Of(Arm64RegisterGroup.Gic, [
            ("ICC_PMR_EL1", 3, 0, 4, 6, 0), ("ICC_IAR0_EL1", 3, 0, 12, 8, 0), ("ICC_EOIR0_EL1", 3, 0, 12, 8, 1),
            ("ICC_HPPIR0_EL1", 3, 0, 12, 8, 2), ("ICC_BPR0_EL1", 3, 0, 12, 8, 3), ("ICC_AP0R0_EL1", 3, 0, 12, 8, 4),
            ("ICC_AP0R1_EL1", 3, 0, 12, 8, 5), ("ICC_AP0R2_EL1", 3, 0, 12, 8, 6), ("ICC_AP0R3_EL1", 3, 0, 12, 8, 7),
            ("ICC_AP1R0_EL1", 3, 0, 12, 9, 0), ("ICC_AP1R1_EL1", 3, 0, 12, 9, 1), ("ICC_AP1R2_EL1", 3, 0, 12, 9, 2),
            ("ICC_AP1R3_EL1", 3, 0, 12, 9, 3), ("ICC_DIR_EL1", 3, 0, 12, 11, 1), ("ICC_RPR_EL1", 3, 0, 12, 11, 3),
            ("ICC_SGI1R_EL1", 3, 0, 12, 11, 5), ("ICC_ASGI1R_EL1", 3, 0, 12, 11, 6), ("ICC_SGI0R_EL1", 3, 0, 12, 11, 7),
            ("ICC_IAR1_EL1", 3, 0, 12, 12, 0), ("ICC_EOIR1_EL1", 3, 0, 12, 12, 1), ("ICC_HPPIR1_EL1", 3, 0, 12, 12, 2),
            ("ICC_BPR1_EL1", 3, 0, 12, 12, 3), ("ICC_CTLR_EL1", 3, 0, 12, 12, 4), ("ICC_SRE_EL1", 3, 0, 12, 12, 5),
            ("ICC_IGRPEN0_EL1", 3, 0, 12, 12, 6), ("ICC_IGRPEN1_EL1", 3, 0, 12, 12, 7), ("ICC_SRE_EL2", 3, 4, 12, 9, 5),
            ("ICH_HCR_EL2", 3, 4, 12, 11, 0), ("ICH_VTR_EL2", 3, 4, 12, 11, 1), ("ICH_MISR_EL2", 3, 4, 12, 11, 2),
            ("ICH_EISR_EL2", 3, 4, 12, 11, 3), ("ICH_ELRSR_EL2", 3, 4, 12, 11, 5), ("ICH_VMCR_EL2", 3, 4, 12, 11, 7),
            ("ICH_AP0R0_EL2", 3, 4, 12, 8, 0), ("ICH_AP0R1_EL2", 3, 4, 12, 8, 1), ("ICH_AP0R2_EL2", 3, 4, 12, 8, 2),
            ("ICH_AP0R3_EL2", 3, 4, 12, 8, 3), ("ICH_AP1R0_EL2", 3, 4, 12, 9, 0), ("ICH_AP1R1_EL2", 3, 4, 12, 9, 1),
            ("ICH_AP1R2_EL2", 3, 4, 12, 9, 2), ("ICH_AP1R3_EL2", 3, 4, 12, 9, 3)]),
        // What a vCPU with nested virtualization has besides.
        .. Of(Arm64RegisterGroup.Hypervisor, [
            ("VPIDR_EL2", 3, 4, 0, 0, 0), ("VMPIDR_EL2", 3, 4, 0, 0, 5), ("SCTLR_EL2", 3, 4, 1, 0, 0), ("ACTLR_EL2", 3, 4, 1, 0, 1),
            ("SCTLR2_EL2", 3, 4, 1, 0, 3), ("HCR_EL2", 3, 4, 1, 1, 0), ("MDCR_EL2", 3, 4, 1, 1, 1), ("CPTR_EL2", 3, 4, 1, 1, 2),
            ("HSTR_EL2", 3, 4, 1, 1, 3), ("HFGRTR_EL2", 3, 4, 1, 1, 4), ("HFGWTR_EL2", 3, 4, 1, 1, 5), ("HFGITR_EL2", 3, 4, 1, 1, 6),
            ("HACR_EL2", 3, 4, 1, 1, 7), ("ZCR_EL2", 3, 4, 1, 2, 0), ("TRFCR_EL2", 3, 4, 1, 2, 1), ("HCRX_EL2", 3, 4, 1, 2, 2),
            ("SMCR_EL2", 3, 4, 1, 2, 6), ("SDER32_EL2", 3, 4, 1, 3, 1), ("TTBR0_EL2", 3, 4, 2, 0, 0), ("TTBR1_EL2", 3, 4, 2, 0, 1),
            ("TCR_EL2", 3, 4, 2, 0, 2), ("TCR2_EL2", 3, 4, 2, 0, 3), ("VTTBR_EL2", 3, 4, 2, 1, 0), ("VTCR_EL2", 3, 4, 2, 1, 2),
            ("VNCR_EL2", 3, 4, 2, 2, 0), ("GCSCR_EL2", 3, 4, 2, 5, 0), ("GCSPR_EL2", 3, 4, 2, 5, 1), ("VSTTBR_EL2", 3, 4, 2, 6, 0),
            ("VSTCR_EL2", 3, 4, 2, 6, 2), ("HDFGRTR2_EL2", 3, 4, 3, 1, 0), ("HDFGWTR2_EL2", 3, 4, 3, 1, 1), ("HFGRTR2_EL2", 3, 4, 3, 1, 2),
            ("HFGWTR2_EL2", 3, 4, 3, 1, 3), ("HDFGRTR_EL2", 3, 4, 3, 1, 4), ("HDFGWTR_EL2", 3, 4, 3, 1, 5), ("HAFGRTR_EL2", 3, 4, 3, 1, 6),
            ("HFGITR2_EL2", 3, 4, 3, 1, 7), ("SPSR_EL2", 3, 4, 4, 0, 0), ("ELR_EL2", 3, 4, 4, 0, 1), ("SP_EL2", 3, 6, 4, 1, 0),
            ("AFSR0_EL2", 3, 4, 5, 1, 0), ("AFSR1_EL2", 3, 4, 5, 1, 1), ("ESR_EL2", 3, 4, 5, 2, 0), ("VSESR_EL2", 3, 4, 5, 2, 3),
            ("TFSR_EL2", 3, 4, 5, 6, 0), ("FAR_EL2", 3, 4, 6, 0, 0), ("HPFAR_EL2", 3, 4, 6, 0, 4), ("PMSCR_EL2", 3, 4, 9, 9, 0),
            ("MAIR_EL2", 3, 4, 10, 2, 0), ("PIRE0_EL2", 3, 4, 10, 2, 2), ("PIR_EL2", 3, 4, 10, 2, 3), ("POR_EL2", 3, 4, 10, 2, 4),
            ("S2PIR_EL2", 3, 4, 10, 2, 5), ("AMAIR_EL2", 3, 4, 10, 3, 0), ("VBAR_EL2", 3, 4, 12, 0, 0), ("RVBAR_EL2", 3, 4, 12, 0, 1),
            ("RMR_EL2", 3, 4, 12, 0, 2), ("VDISR_EL2", 3, 4, 12, 1, 1), ("CONTEXTIDR_EL2", 3, 4, 13, 0, 1), ("TPIDR_EL2", 3, 4, 13, 0, 2),
            ("SCXTNUM_EL2", 3, 4, 13, 0, 7), ("CNTVOFF_EL2", 3, 4, 14, 0, 3), ("CNTPOFF_EL2", 3, 4, 14, 0, 6),
            ("CNTHCTL_EL2", 3, 4, 14, 1, 0), ("CNTHP_TVAL_EL2", 3, 4, 14, 2, 0), ("CNTHP_CTL_EL2", 3, 4, 14, 2, 1),
            ("CNTHP_CVAL_EL2", 3, 4, 14, 2, 2), ("CNTHV_TVAL_EL2", 3, 4, 14, 3, 0), ("CNTHV_CTL_EL2", 3, 4, 14, 3, 1),
            ("CNTHV_CVAL_EL2", 3, 4, 14, 3, 2)]),
        // The names that EL2 uses for EL1's registers.
        .. Of(Arm64RegisterGroup.Alias, [
            ("SCTLR_EL12", 3, 5, 1, 0, 0), ("CPACR_EL12", 3, 5, 1, 0, 2), ("SCTLR2_EL12", 3, 5, 1, 0, 3), ("ZCR_EL12", 3, 5, 1, 2, 0),
            ("TTBR0_EL12", 3, 5, 2, 0, 0), ("TTBR1_EL12", 3, 5, 2, 0, 1), ("TCR_EL12", 3, 5, 2, 0, 2), ("TCR2_EL12", 3, 5, 2, 0, 3),
            ("SPSR_EL12", 3, 5, 4, 0, 0), ("ELR_EL12", 3, 5, 4, 0, 1), ("AFSR0_EL12", 3, 5, 5, 1, 0), ("AFSR1_EL12", 3, 5, 5, 1, 1),
            ("ESR_EL12", 3, 5, 5, 2, 0), ("FAR_EL12", 3, 5, 6, 0, 0), ("MAIR_EL12", 3, 5, 10, 2, 0), ("PIRE0_EL12", 3, 5, 10, 2, 2),
            ("PIR_EL12", 3, 5, 10, 2, 3), ("AMAIR_EL12", 3, 5, 10, 3, 0), ("VBAR_EL12", 3, 5, 12, 0, 0),
            ("CONTEXTIDR_EL12", 3, 5, 13, 0, 1), ("CNTKCTL_EL12", 3, 5, 14, 1, 0), ("CNTP_TVAL_EL02", 3, 5, 14, 2, 0),
            ("CNTP_CTL_EL02", 3, 5, 14, 2, 1), ("CNTP_CVAL_EL02", 3, 5, 14, 2, 2), ("CNTV_TVAL_EL02", 3, 5, 14, 3, 0),
            ("CNTV_CTL_EL02", 3, 5, 14, 3, 1), ("CNTV_CVAL_EL02", 3, 5, 14, 3, 2)]),
        .. Numbered(),
    ];

    private static readonly FrozenDictionary<ulong, Arm64SystemRegister> s_byId = All.ToFrozenDictionary(each => each.Id);

    private static readonly FrozenDictionary<string, ulong> s_byName =
        All.ToFrozenDictionary(each => each.Name, each => each.Id, StringComparer.OrdinalIgnoreCase);

    /// <summary>The id of a system register from the operands of MRS and MSR.</summary>
    /// <param name="op0">2 for debug registers, 3 for the others; 0 to 3.</param>
    /// <param name="op1">0 to 7.</param>
    /// <param name="crn">0 to 15.</param>
    /// <param name="crm">0 to 15.</param>
    /// <param name="op2">0 to 7.</param>
    public static ulong IdOf(int op0, int op1, int crn, int crm, int op2) =>
        IdBase | ((ulong)op0 << 14) | ((ulong)op1 << 11) | ((ulong)crn << 7) | ((ulong)crm << 3) | (uint)op2;

    /// <summary>The register with an id.</summary>
    /// <returns>False for an id without a name in the tables.</returns>
    public static bool TryGet(ulong id, out Arm64SystemRegister register) => s_byId.TryGetValue(id, out register);

    /// <summary>The id behind a name; upper and lower case are the same.</summary>
    public static bool TryGetId(string name, out ulong id) => s_byName.TryGetValue(name, out id);

    /// <summary>The id behind a name of the tables.</summary>
    /// <exception cref="KeyNotFoundException">The tables have no such name.</exception>
    public static ulong IdOf(string name) => s_byName[name];

    /// <summary>Whether KVM takes back nothing but the host's own value (MIDR_EL1, CTR_EL0, …).</summary>
    public static bool IsInvariant(ulong id) => TryGet(id, out var register) && register.Group == Arm64RegisterGroup.Invariant;

    /// <summary>
    /// What a plain vCPU lists, in ascending order of ids: the base groups, with them the whole block of identification
    /// registers, whose unnamed places read as zero.
    /// </summary>
    /// <param name="further">Groups that the vCPU's features add.</param>
    public static IEnumerable<ulong> Listed(params ReadOnlySpan<Arm64RegisterGroup> further)
    {
        var groups = new HashSet<Arm64RegisterGroup>
        {
            Arm64RegisterGroup.Base, Arm64RegisterGroup.Identification, Arm64RegisterGroup.Invariant, Arm64RegisterGroup.Debug, Arm64RegisterGroup.Timer,
        };
        groups.UnionWith(further.ToArray());
        var ids = new SortedSet<ulong>(All.Where(each => groups.Contains(each.Group)).Select(each => each.Id));
        for (var crm = 1; crm <= 7; crm++)
        {
            for (var op2 = 0; op2 <= 7; op2++)
                ids.Add(IdOf(3, 0, 0, crm, op2));
        }

        return ids;
    }

    private static IEnumerable<Arm64SystemRegister> Of(
        Arm64RegisterGroup group,
        IEnumerable<(string Name, int Op0, int Op1, int Crn, int Crm, int Op2)> registers) =>
        registers.Select(each => new Arm64SystemRegister(each.Name, IdOf(each.Op0, each.Op1, each.Crn, each.Crm, each.Op2), group));

    // Sixteen breakpoints and watchpoints with a value and a control register each, whose number is CRm; 31 event counters and
    // their types, whose number is CRm's low two bits and op2; 16 list registers of the GIC.
    private static IEnumerable<Arm64SystemRegister> Numbered()
    {
        for (var i = 0; i < NumberedDebugRegisters; i++)
        {
            yield return One(Arm64RegisterGroup.Debug, $"DBGBVR{i}_EL1", IdOf(2, 0, 0, i, 4));
            yield return One(Arm64RegisterGroup.Debug, $"DBGBCR{i}_EL1", IdOf(2, 0, 0, i, 5));
            yield return One(Arm64RegisterGroup.Debug, $"DBGWVR{i}_EL1", IdOf(2, 0, 0, i, 6));
            yield return One(Arm64RegisterGroup.Debug, $"DBGWCR{i}_EL1", IdOf(2, 0, 0, i, 7));
            yield return One(Arm64RegisterGroup.Gic, $"ICH_LR{i}_EL2", IdOf(3, 4, 12, 12 + (i / 8), i % 8));
        }

        for (var i = 0; i < PmuCounters; i++)
        {
            yield return One(Arm64RegisterGroup.Pmu, $"PMEVCNTR{i}_EL0", IdOf(3, 3, 14, 8 + (i / 8), i % 8));
            yield return One(Arm64RegisterGroup.Pmu, $"PMEVTYPER{i}_EL0", IdOf(3, 3, 14, 12 + (i / 8), i % 8));
        }
    }

    private static Arm64SystemRegister One(Arm64RegisterGroup group, FormattableString name, ulong id) =>
        new(name.ToString(CultureInfo.InvariantCulture), id, group);
}
