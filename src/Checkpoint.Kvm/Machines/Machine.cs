using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines;

/// <summary>
/// A VM with all that belongs to its state: memory, vCPUs, clock, interrupt chips. What the state is made of, and in which
/// order it is saved and restored, is the architecture's part.
/// </summary>
public abstract class Machine : IDisposable
{
    /// <summary>How to build the same machine again.</summary>
    public abstract MachineDescription Description { get; }

    /// <summary>The guest's memory.</summary>
    public abstract IGuestMemory Memory { get; }

    /// <summary>The VM.</summary>
    public abstract IVm Vm { get; }

    /// <summary>The vCPUs, in the order of their creation.</summary>
    public abstract ImmutableArray<VcpuState> Vcpus { get; }

    /// <summary>The guest clock that the last <see cref="CaptureVm"/> read, in nanoseconds; null where the machine has none.</summary>
    public abstract long? GuestClockNs { get; }

    /// <summary>Reads the VM's own state while all vCPUs are parked. It allocates nothing.</summary>
    public abstract void CaptureVm();

    /// <summary>What the last <see cref="CaptureVm"/> read, as the state model.</summary>
    public abstract StateList ToVmStateList();

    /// <summary>
    /// What of the processor that the vCPUs were told of this host does not have. It asks nothing of the guest's memory, which may be on its way meanwhile.
    /// </summary>
    /// <param name="document">A checkpoint of a machine of the same description, which this one, that has not run, was built by.</param>
    /// <returns>For <see cref="Restore"/>, which judges them.</returns>
    public virtual IReadOnlyList<RegisterRefusal> CheckFeatures(StateDocument document) => [];

    /// <summary>
    /// Sets the whole state, memory excepted, on a machine that has not run; reads everything back and compares. The machine
    /// must be thrown away where anything was refused.
    /// </summary>
    /// <param name="document">A checkpoint of a machine of the same description.</param>
    /// <param name="clock">What the guest's clock does with the time in between.</param>
    /// <param name="takenAt">When the checkpoint was taken.</param>
    /// <param name="now">The time of the restore, by the same wall clock.</param>
    /// <param name="policy">What is asked of each register; <see cref="RegisterPolicy.Strict"/> where none is given.</param>
    /// <param name="features">What <see cref="CheckFeatures"/> found; null: it is called.</param>
    /// <returns>Every register that was refused or read back otherwise, and those that the policy let differ.</returns>
    public abstract RestoreReport Restore(
        StateDocument document,
        ClockPolicy clock,
        DateTimeOffset takenAt,
        DateTimeOffset now,
        RegisterPolicy? policy = null,
        IReadOnlyList<RegisterRefusal>? features = null);

    /// <summary>The guest physical address that the first vCPU of a checkpoint touches first, its page tables as a rule; null where that is not known.</summary>
    /// <param name="document">The checkpoint.</param>
    public virtual ulong? FirstTouched(StateDocument document) => null;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Frees vCPUs, VM and memory, in that order.</summary>
    protected abstract void Dispose(bool disposing);
}
