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
    /// <param name="vm">A VM of that kernel in which nothing has been made yet; it is disposed of with the machine, or where that cannot be built. Null: one is created.</param>
    /// <exception cref="KvmException">This host can't build it, as one of another architecture can't.</exception>
    /// <exception cref="ArgumentException">The description is of no machine that this program knows.</exception>
    public static Machine Create(IKvm kvm, MachineDescription description, RegisterBatching? batching = null, IVm? vm = null)
    {
        switch (description.Architecture)
        {
            case MachineArchitecture.X64:
                return X64Machine.Create(kvm, description, batching, vm);
            case MachineArchitecture.Arm64:
                return Arm64Machine.Create(kvm, description, batching, vm);
            default:
                vm?.Dispose();
                throw new ArgumentException($"There is no machine of the architecture {description.Architecture}.", nameof(description));
        }
    }

    /// <summary>Why a machine could not be built, by name, where it is because of what its vCPUs were told of the processor.</summary>
    /// <param name="kvm">Where it was to be built.</param>
    /// <param name="description">The machine.</param>
    /// <param name="failure">What <see cref="Create"/> threw.</param>
    /// <returns>What this host refuses; empty where that is not the reason.</returns>
    public static IReadOnlyList<RegisterRefusal> RefusalsBehind(IKvm kvm, MachineDescription description, Exception failure)
    {
        int? errno = failure switch
        {
            KvmException refused when refused.Request == KvmRequests.SetCpuid2.Name => refused.Errno,
            ArgumentException => Errno.EINVAL, // A table that is not even made of entries.
            _ => null,
        };
        return description.Architecture == MachineArchitecture.X64 && errno is { } number ? X64CpuidRefusal.Find(kvm, description, number) : [];
    }
}
