using System.Collections.Frozen;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// Features that a vCPU may rightly have and KVM_GET_SUPPORTED_CPUID not report: bits that show what a guest has switched on, and bits
/// that a VMM answers for. Each with its reason and where that is written.
/// </summary>
internal static class X64CpuidExceptions
{
    // AMD repeats these bits of leaf 1 EDX (AMD APM volume 3, Fn8000_0001_EDX).
    private const uint RepeatedFromLeaf1 = 0x0183_f3ff;

    // Leaf 0x1e repeats bits of leaf 7 (Intel SDM volume 2, CPUID), and a kernel that reports AMX need not report the repetition.
    private static readonly X64CpuidField[] s_amx =
    [
        new(7, 0, X64CpuidRegister.Edx, 25), new(7, 0, X64CpuidRegister.Edx, 24), new(7, 1, X64CpuidRegister.Edx, 8), new(7, 1, X64CpuidRegister.Eax, 21),
    ];

    private static readonly FrozenDictionary<string, Func<IKvm, InterruptChip, bool>> s_allowed = new Dictionary<string, Func<IKvm, InterruptChip, bool>>
    {
        // The guest's CR4.OSXSAVE, which KVM copies here (Intel SDM volume 2, CPUID: the bit follows CR4).
        ["cpuid.1.ecx.osxsave"] = (_, _) => true,

        // The guest's CR4.PKE, in the same way.
        ["cpuid.7.0.ecx.ospke"] = (_, _) => true,

        // api.rst 9.1, "Local APIC features": older kernels do not report it; it can be used where KVM_CAP_TSC_DEADLINE_TIMER is
        // there and the kernel emulates the local APIC.
        ["cpuid.1.ecx.tsc_deadline"] = (kvm, chip) => chip != InterruptChip.None && kvm.CheckExtension(KvmCapability.TscDeadlineTimer) > 0,

        // The same place: it is the kernel's local APIC that has it, whatever the processor's.
        ["cpuid.1.ecx.x2apic"] = (_, chip) => chip != InterruptChip.None,

        // For a VMM to set (Intel SDM and AMD APM leave the bit to hypervisors).
        ["cpuid.1.ecx.hypervisor"] = (_, _) => true,

        // Never reported, but a VMM may let the guest have it (KVM_CAP_X86_DISABLE_EXITS), and otherwise it is a NOP; with the quirk
        // KVM_X86_QUIRK_MISC_ENABLE_NO_MWAIT off the bit follows the guest's IA32_MISC_ENABLE (api.rst, KVM_CAP_DISABLE_QUIRKS2).
        ["cpuid.1.ecx.monitor"] = (_, _) => true,

        // That there are several processors: topology is a VMM's to tell (api.rst 9.1, "CPU topology").
        ["cpuid.1.edx.htt"] = (_, _) => true,
        ["cpuid.80000001.ecx.cmp_legacy"] = (_, _) => true,

        // Leaves 0x8000001d and 0x8000001e are there; what they say is the VMM's.
        ["cpuid.80000001.ecx.topoext"] = (_, _) => true,

        // The APIC timer of a guest is a timer of the host's kernel: it never stops.
        ["cpuid.6.eax.arat"] = (_, _) => true,

        // cpuid.rst: a VMM that delivers the MSIs says so to the guest.
        ["cpuid.40000001.eax.kvm_msi_ext_dest_id"] = (_, _) => true,
    }.ToFrozenDictionary();

    /// <summary>Whether a vCPU may have a feature that the host's kernel does not report.</summary>
    public static bool Allow(X64CpuidField field, IKvm kvm, InterruptChip chip, X64CpuidLeaves host)
    {
        if (field is { Leaf: 0x8000_0001, Register: X64CpuidRegister.Edx } && (RepeatedFromLeaf1 & (1u << field.Bit)) != 0)
            return host[new X64CpuidField(1, 0, X64CpuidRegister.Edx, field.Bit)] != 0;
        if (field is { Leaf: 0x1e, Index: 1, Register: X64CpuidRegister.Eax } && field.Bit < s_amx.Length)
            return host[s_amx[field.Bit]] != 0;
        return s_allowed.TryGetValue(X64CpuidNames.NameOf(field), out var allows) && allows(kvm, chip);
    }

    /// <summary>Whether the kernel changes a bit by itself, so that it may read back otherwise than it was set.</summary>
    public static bool FollowTheGuest(X64CpuidField field) => X64CpuidNames.NameOf(field) is
        "cpuid.1.ecx.osxsave" or "cpuid.7.0.ecx.ospke" or "cpuid.1.ecx.monitor"

        // IA32_APIC_BASE's enable bit.
        or "cpuid.1.edx.apic" or "cpuid.80000001.edx.apic"

        // Taken away where HLT does not leave the guest (KVM_X86_DISABLE_EXITS_HLT; cpuid.rst).
        or "cpuid.40000001.eax.kvm_pv_unhalt";
}
