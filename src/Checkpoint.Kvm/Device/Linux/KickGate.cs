using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// Ends KVM_RUN from another thread, by a signal and without a handler.
///
/// The signal is blocked in the bound thread at all times, and KVM_RUN alone opens it, inside the kernel, by the mask of
/// KVM_SET_SIGNAL_MASK. So it is never delivered: it waits as pending, ends KVM_RUN with EINTR, or makes the next KVM_RUN end
/// at once, and sigtimedwait then takes it away.
///
/// No kick is lost. A kick either sends the signal, which stays pending until a KVM_RUN has returned EINTR, or finds
/// <see cref="_pending"/> set by a kick before it. That flag is cleared in one place while bound, after EINTR, after the
/// signal was consumed and before Run returns: so a kick that found it set comes before the return of the very Run that is
/// being interrupted, and what its caller stored before it kicked is visible to whoever looks after that Run. A kick between
/// setting the flag and sending may see its flag cleared; its signal then ends one further KVM_RUN for nothing, which is
/// harmless. The flag exists because real-time signals queue: without it, kicks at a vCPU that is not running would pile up.
///
/// No dead thread is signalled. A kick first counts itself in <see cref="_inFlight"/> and then reads the thread; Unbind first
/// clears the thread and then waits for the count to reach zero. Both are full fences, so either the kick sees no thread or
/// Unbind sees the kick and waits, and the thread lives until Unbind has returned. A thread that ended without Unbind is not
/// signalled either: its number may be another thread's by now.
/// </summary>
internal sealed class KickGate(KvmFd fd, int vcpu, int signal)
{
    private const int MaxSendAttempts = 100;

    // One signal can stand for one vCPU only: a second one on the same thread would consume the first one's kicks.
    [ThreadStatic]
    private static KickGate? t_bound;

    private Thread? _thread;
    private int _threadId;
    private ulong _maskBefore;
    private int _inFlight;
    private int _pending;

    internal void Bind()
    {
        if (_threadId != 0)
            throw new InvalidOperationException($"vCPU {vcpu} is bound to a thread already.");
        if (t_bound is { } other && other._thread == Thread.CurrentThread)
            throw new InvalidOperationException($"This thread drives vCPU {other.Vcpu} already.");

        var before = ThreadSignals.Block(signal);
        try
        {
            // A signal that an earlier vCPU of this thread left behind is nobody's kick.
            ThreadSignals.Consume(signal);
            SetRunMask(before & ~ThreadSignals.BitOf(signal));
        }
        catch
        {
            ThreadSignals.Restore(before);
            throw;
        }

        _maskBefore = before;
        _pending = 0;
        _thread = Thread.CurrentThread;
        t_bound = this;
        Volatile.Write(ref _threadId, ThreadSignals.CurrentThreadId());
    }

    internal void Unbind()
    {
        if (Interlocked.Exchange(ref _threadId, 0) == 0)
            return;
        var wait = new SpinWait();
        while (Volatile.Read(ref _inFlight) != 0)
            wait.SpinOnce();

        var ownThread = _thread == Thread.CurrentThread;
        _thread = null;
        _pending = 0;
        if (!ownThread)
            return;
        // What is pending must go before the mask is put back: opened, the signal would end the process. A vCPU that is
        // unbound by another thread leaves the signal blocked in its own, where it does no harm.
        t_bound = null;
        ThreadSignals.Consume(signal);
        ThreadSignals.Restore(_maskBefore);
        ClearRunMask();
    }

    internal void Kick()
    {
        Interlocked.Increment(ref _inFlight);
        try
        {
            var threadId = Volatile.Read(ref _threadId);
            if (threadId != 0 && _thread is { IsAlive: true } && Interlocked.Exchange(ref _pending, 1) == 0)
                Send(threadId);
        }
        finally
        {
            Interlocked.Decrement(ref _inFlight);
        }
    }

    /// <summary>After EINTR, on the bound thread: takes the kick away that KVM_RUN left pending.</summary>
    internal void ConsumePending()
    {
        if (_thread != Thread.CurrentThread)
            return;
        ThreadSignals.Consume(signal);
        Interlocked.Exchange(ref _pending, 0);
    }

    private int Vcpu => vcpu;

    private void Send(int threadId)
    {
        var errno = ThreadSignals.Send(threadId, signal);
        // EAGAIN: this user's queue of real-time signals (RLIMIT_SIGPENDING) is full; others take theirs off soon.
        for (var attempt = 1; errno == Errno.EAGAIN && attempt < MaxSendAttempts; attempt++)
        {
            Thread.Yield();
            errno = ThreadSignals.Send(threadId, signal);
        }

        if (errno is 0 or Errno.ESRCH)
            return;
        Interlocked.Exchange(ref _pending, 0);
        KvmError.Throw("tgkill", errno, vcpu);
    }

    // Without a struct the kernel forgets the mask: a KVM_RUN without a bound thread runs under its own thread's.
    private unsafe void ClearRunMask() => _ = Ioctl.TryPointer(fd, KvmRequests.SetSignalMask, null);

    private unsafe void SetRunMask(ulong mask)
    {
        // struct kvm_signal_mask with its eight bytes of signals right behind the length, which leaves them unaligned.
        var argument = stackalloc byte[sizeof(kvm_signal_mask) + sizeof(ulong)];
        var bytes = new Span<byte>(argument, sizeof(kvm_signal_mask) + sizeof(ulong));
        MemoryMarshal.Write(bytes, sizeof(ulong));
        MemoryMarshal.Write(bytes[sizeof(kvm_signal_mask)..], mask);
        // The struct lives on this stack until the call returns; the kernel reads the length and as many bytes as it says.
        Ioctl.Pointer(fd, KvmRequests.SetSignalMask, argument, vcpu);
    }
}
