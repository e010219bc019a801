using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Interop;

/// <summary>Waits for an fd to have something to read, until it is told to stop: an <c>eventfd(2)</c> beside it in <c>poll(2)</c>.</summary>
internal sealed unsafe class StopEvent : IDisposable
{
    private const short PollIn = 1;

    private readonly KvmFd _event;

    internal StopEvent()
    {
        var fd = Libc.eventfd(0, Libc.O_CLOEXEC);
        if (fd < 0)
            KvmError.ThrowLast("eventfd");
        _event = KvmFd.Adopt(fd, closes: true);
    }

    /// <summary>Ends all waiting, now and later.</summary>
    internal void Set()
    {
        var one = 1UL;
        // The word lives on this stack until the call returns; the kernel reads its eight bytes.
        Libc.write(_event, &one, sizeof(ulong));
    }

    /// <summary>Waits until there is something to read.</summary>
    /// <returns>False when it was told to stop.</returns>
    internal bool WaitFor(KvmFd fd)
    {
        // struct pollfd: int fd, short events, short revents. Both are held open over the call by their owner, who waits for this thread.
        var polled = stackalloc PollFd[2];
        polled[0] = new PollFd { Fd = fd.Number, Events = PollIn };
        polled[1] = new PollFd { Fd = _event.Number, Events = PollIn };
        if (Libc.poll(polled, 2, -1) < 0 && Marshal.GetLastPInvokeError() is var errno && errno != Errno.EINTR)
            KvmError.Throw("poll", errno);
        return polled[1].Returned == 0;
    }

    public void Dispose() => _event.Dispose();

    internal struct PollFd
    {
        internal int Fd;
        internal short Events;
        internal short Returned;
    }
}
