using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines;

/// <summary>Builds a machine of whatever architecture its description says.</summary>
public static class MachineBuilder
{
    /// <summary>Builds a machine as described: empty memory, vCPUs in their reset state.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="description">What to build.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <exception cref="KvmException">This host can't build it, as one of another architecture can't.</exception>
    /// <exception cref="ArgumentException">The description is of no machine that this program knows.</exception>
    public static Machine Create(IKvm kvm, MachineDescription description, RegisterBatching? batching = null) => description.Architecture switch
    {
        MachineArchitecture.X64 => X64Machine.Create(kvm, description, batching),
        MachineArchitecture.Arm64 => Arm64Machine.Create(kvm, description, batching),
        var other => throw new ArgumentException($"There is no machine of the architecture {other}.", nameof(description)),
    };
}
