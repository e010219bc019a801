using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines;

/// <summary>
/// The state of one vCPU, and the buffers that it is read into. <see cref="Capture"/> runs while the guest waits, so it only
/// fills buffers; <see cref="ToStateList"/> makes them the state model afterwards.
/// </summary>
public abstract class VcpuState(IVcpu vcpu)
{
    /// <summary>The vCPU.</summary>
    public IVcpu Vcpu { get; } = vcpu;

    /// <summary>How its registers are read: <c>many-regs</c>, <c>msrs</c> or <c>one-reg</c>.</summary>
    public abstract string Batching { get; }

    /// <summary>Reads everything, on the vCPU's thread, while it is parked. It allocates nothing.</summary>
    /// <exception cref="KvmException">A call failed.</exception>
    public abstract void Capture();

    /// <summary>What the last <see cref="Capture"/> read, as the state model.</summary>
    public abstract StateList ToStateList();

    /// <summary>Sets everything on a vCPU that has not run, in the documented order, and goes on past what is refused.</summary>
    /// <returns>What the kernel refused; empty when it took all.</returns>
    public abstract IReadOnlyList<RegisterRefusal> Restore(StateList state);
}
