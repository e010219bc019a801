using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>
/// A vCPU whose guest computes until it is kicked; one that does IO is kicked, as luck will have it, just as it exits for IO.
/// A kick that comes while it is not in the guest ends the next KVM_RUN, as the pending signal does.
/// </summary>
internal sealed class KickableVcpu(bool doesIo) : UnusedVcpu
{
    private readonly object _gate = new();
    private readonly byte[] _data = new byte[4];
    private bool _isKicked;
    private bool _hasPendingIo;

    public override bool ImmediateExit { get; set; }

    public int Bound { get; private set; }

    public int Unbound { get; private set; }

    public long Runs { get; private set; }

    /// <summary>The thread that runs it.</summary>
    public Thread? Thread { get; private set; }

    public override void BindToCurrentThread()
    {
        Bound++;
        Thread = Thread.CurrentThread;
    }

    public override void Unbind()
    {
        Assert.Same(Thread, Thread.CurrentThread);
        Unbound++;
    }

    public override void Kick()
    {
        lock (_gate)
        {
            _isKicked = true;
            Monitor.Pulse(_gate);
        }
    }

    public override VcpuExit Run()
    {
        Runs++;
        lock (_gate)
        {
            while (!_isKicked && !ImmediateExit)
                Monitor.Wait(_gate);
            if (doesIo && !_hasPendingIo && !ImmediateExit)
            {
                _hasPendingIo = true; // The signal stays pending: the next entry finishes the IO and is interrupted.
                return new VcpuExit { Reason = VcpuExitReason.Io, Data = _data };
            }

            _hasPendingIo = false;
            _isKicked = false;
            return new VcpuExit { Reason = VcpuExitReason.Interrupted };
        }
    }
}
