using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.MemoryLedger;

/// <summary>Knows when every vCPU has made two exits: between them lie whole steps.</summary>
internal sealed class ExitWatch(IExitHandler guest, int vcpus) : IExitHandler
{
    private const int Enough = 2;

    private readonly int[] _exits = new int[vcpus];
    private readonly TaskCompletionSource _all = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private int _waiting = vcpus;

    public Task All => _all.Task;

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        // Each vCPU has a thread of its own, and nobody else writes its count.
        if (_exits[vcpu] < Enough && ++_exits[vcpu] == Enough && Interlocked.Decrement(ref _waiting) == 0)
            _all.TrySetResult();
        return guest.Handle(vcpu, exit);
    }
}
