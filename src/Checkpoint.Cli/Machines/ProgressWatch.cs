using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Cli.Machines;

/// <summary>
/// Knows when every vCPU has gone on since it was started. A guest makes an exit every so many steps, so two exits have whole
/// steps between them. A host with fewer processors than the machine has vCPUs may take a while to give each its turn.
/// </summary>
internal sealed class ProgressWatch(IExitHandler guest, int vcpus) : IExitHandler
{
    private const int Enough = 2;

    private readonly int[] _exits = new int[vcpus];
    private readonly TaskCompletionSource _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _waiting = vcpus;

    /// <summary>Ends when every vCPU has gone on.</summary>
    public Task All => _all.Task;

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        // Each vCPU has a thread of its own, and nobody else writes its count.
        if (_exits[vcpu] < Enough && ++_exits[vcpu] == Enough && Interlocked.Decrement(ref _waiting) == 0)
            _all.TrySetResult();
        return guest.Handle(vcpu, exit);
    }
}
