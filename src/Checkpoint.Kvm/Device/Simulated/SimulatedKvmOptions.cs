using System.Collections.Immutable;
using Checkpoint.Kvm.Device.Simulated.Arm64;
using Checkpoint.Kvm.Device.Simulated.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>An MSR that a simulated x86 vCPU has.</summary>
/// <param name="Index">The number that RDMSR takes in ECX.</param>
/// <param name="ResetValue">What it holds in a new vCPU.</param>
/// <param name="IsListed">Whether KVM_GET_MSR_INDEX_LIST names it; those that SREGS carries are not listed.</param>
public readonly record struct SimulatedMsr(uint Index, ulong ResetValue = 0, bool IsListed = true);

/// <summary>How many instructions a KVM_RUN executes before it is interrupted as by a signal; drawn anew for each.</summary>
/// <param name="Least">At least this many, from 1.</param>
/// <param name="Most">At most this many.</param>
public readonly record struct SimulatedSlice(int Least, int Most);

/// <summary>What a simulated kernel and its processor are like. The defaults are those of a current kernel without MANY_REGS.</summary>
public sealed record SimulatedKvmOptions
{
    /// <summary>The architecture.</summary>
    public MachineArchitecture Architecture { get; init; } = MachineArchitecture.X64;

    /// <summary>Where everything random comes from: the lengths of slices.</summary>
    public ulong Seed { get; init; }

    /// <summary>
    /// How long a KVM_RUN goes on when neither an exit nor a kick ends it. With slices one thread can drive several vCPUs by
    /// turns, and the same seed gives the same history; null, as on KVM: for ever.
    /// </summary>
    public SimulatedSlice? Slice { get; init; }

    /// <summary>KVM_GET_MANY_REGS and KVM_SET_MANY_REGS.</summary>
    public SimulatedManyRegs ManyRegs { get; init; }

    /// <summary>Whether x86 has KVM_CAP_ONE_REG (Linux 6.18); arm64 always has it.</summary>
    public bool OneReg { get; init; } = true;

    /// <summary>KVM_CAP_SREGS2.</summary>
    public bool Sregs2 { get; init; } = true;

    /// <summary>KVM_CAP_NESTED_STATE of an Intel processor.</summary>
    public bool NestedState { get; init; }

    /// <summary>KVM_CAP_SYNC_REGS of x86.</summary>
    public bool SyncRegs { get; init; } = true;

    /// <summary>KVM_VCPU_TSC_OFFSET of x86 (Linux 5.16): what a vCPU's TSC is before the host's.</summary>
    public bool TscOffset { get; init; } = true;

    /// <summary>What the host's TSC counted when a VM was made: hosts differ in it.</summary>
    public ulong HostTscAtStart { get; init; } = 1_000_000_000;

    /// <summary>KVM_CAP_XSAVE2: bytes of the XSAVE area, at least 4096; 0 for a kernel without it.</summary>
    public int Xsave2Bytes { get; init; } = 4096;

    /// <summary>KVM_CAP_SPLIT_IRQCHIP.</summary>
    public bool SplitIrqchip { get; init; } = true;

    /// <summary>KVM_CAP_TSC_CONTROL: without it a vCPU's TSC can't be made slower than the host's.</summary>
    public bool TscControl { get; init; } = true;

    /// <summary>The frequency of the host's TSC in kHz; of the counter of arm64 it is 1 GHz.</summary>
    public uint TscKhz { get; init; } = 2_000_000;

    /// <summary>KVM_CAP_MAX_VCPUS.</summary>
    public int MaxVcpus { get; init; } = 1024;

    /// <summary>KVM_GET_SUPPORTED_CPUID: entries of 40 bytes, struct kvm_cpuid_entry2. The default has AVX2.</summary>
    public ReadOnlyMemory<byte> Cpuid { get; init; } = X64CpuidTable.Default;

    /// <summary>The MSRs that every x86 vCPU has.</summary>
    public ImmutableArray<SimulatedMsr> Msrs { get; init; } = X64MsrTable.Default;

    /// <summary>What an arm64 processor and its kernel are like.</summary>
    public SimulatedArm64Options Arm64 { get; init; } = new();

    /// <summary>Registers that behave otherwise; the first rule about a register counts.</summary>
    public ImmutableArray<SimulatedRegisterRule> Rules { get; init; } = [];
}
