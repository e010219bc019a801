using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>Asks a kernel how registers can travel, with a small machine that is thrown away.</summary>
internal static class BatchingCheck
{
    private const ulong ProbeMemoryBytes = 1 << 20;

    /// <summary>The best way that a kernel has.</summary>
    /// <exception cref="KvmException">It refuses even a small machine.</exception>
    public static string BestOf(IKvm kvm, MachineArchitecture architecture)
    {
        using var machine = Probe(kvm, architecture);
        return machine.Vcpus[0].Batching;
    }

    /// <summary>Why registers cannot travel in a way, and what to do; null where they can.</summary>
    public static string? ReasonAgainst(IKvm kvm, MachineArchitecture architecture, RegisterBatching batching)
    {
        switch (batching)
        {
            case RegisterBatching.Msrs:
                return architecture == MachineArchitecture.X64 ? null : "only x64 machines have MSRs; write one-reg, or leave --batching out";
            case RegisterBatching.OneReg:
                return architecture == MachineArchitecture.Arm64 || kvm.CheckExtension(KvmCapability.OneReg) > 0
                    ? null
                    : "this kernel reads no register of an x64 machine by its id (KVM_CAP_ONE_REG, since Linux 6.18); write msrs, or leave --batching out";
            default:
                using (var machine = Probe(kvm, architecture))
                {
                    return RegisterBatchings.HasManyRegs(machine.Vcpus[0].Vcpu)
                        ? null
                        : "this kernel has no KVM_GET_MANY_REGS; leave --batching out, or write --machine sim";
                }
        }
    }

    private static Machine Probe(IKvm kvm, MachineArchitecture architecture) => MachineBuilder.Create(
        kvm,
        architecture == MachineArchitecture.X64
            ? X64Machine.Describe(kvm, 1, ProbeMemoryBytes, InterruptChip.Full)
            : Arm64Machine.Describe(kvm, 1, ProbeMemoryBytes));
}
