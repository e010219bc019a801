using System.Runtime.Intrinsics.X86;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>Finds out what of the timer guest a host can run.</summary>
internal static class TimerFeatures
{
    private const uint ExtendedFeatures = 7;
    private const uint ExtendedState = 0xd;
    private const uint YmmComponents = 0x07;
    private const uint ZmmComponents = 0xe7;
    private const uint Avx2 = 1u << 5;
    private const uint Avx512FAndBw = (1u << 16) | (1u << 30);
    private const uint TscDeadline = 1u << 24; // ECX of leaf 1

    /// <summary>The options with what KVM of this host offers.</summary>
    /// <exception cref="NotSupportedException">The kernel is a simulated one.</exception>
    public static GuestOptions Choose(IKvm kvm, GuestOptions options)
    {
        if (kvm is SimulatedKvm)
            throw new NotSupportedException("The simulated kernel has no timer interrupts: the timer guest needs KVM.");
        var cpuid = kvm.GetSupportedCpuid();
        return options with
        {
            UseYmm = Has(cpuid.Span, YmmComponents, Avx2),
            UseZmm = Has(cpuid.Span, ZmmComponents, Avx2 | Avx512FAndBw),
            UseTscDeadline = kvm.CheckExtension(KvmCapability.TscDeadlineTimer) > 0,
        };
    }

    /// <summary>
    /// The machine with the TSC deadline in the vCPUs' CPUID. Kernels leave it out of what they support in general, because it
    /// depends on the local APIC, and tell of it by KVM_CAP_TSC_DEADLINE_TIMER (Documentation/virt/kvm/api.rst, 4.46).
    /// </summary>
    public static MachineDescription Complete(MachineDescription description, GuestOptions options) => !options.UseTscDeadline ? description : description with
    {
        Vcpus = [.. description.Vcpus.Select(each => each with { Features = CpuidLeaf.WithEcx(each.Features.Span, 1, TscDeadline) })],
    };

    // XCR0 takes what leaf 0xD of the vCPUs' CPUID says. The instructions follow from leaf 7, the vCPUs' or the processor's: a KVM that
    // runs guests in the host's user mode leaves them out of the former though they work, since CPL 3 runs on the processor itself.
    private static bool Has(ReadOnlySpan<byte> cpuid, uint components, uint instructions)
    {
        var offered = CpuidLeaf.Find(cpuid, ExtendedFeatures, 0)?.Ebx ?? 0;
        var present = X86Base.IsSupported ? (uint)X86Base.CpuId((int)ExtendedFeatures, 0).Ebx : 0;
        var state = CpuidLeaf.Find(cpuid, ExtendedState, 0)?.Eax ?? 0;
        return (state & components) == components && ((offered | present) & instructions) == instructions;
    }
}
