using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Interop;

/// <summary>Signals of single threads, as <c>signal(7)</c> and <c>tgkill(2)</c> describe them.</summary>
internal static unsafe class ThreadSignals
{
    private static readonly nint s_tgkill = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 234 : 131;
    private static readonly nint s_gettid = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 186 : 178;

    /// <summary>The kernel's id of the calling thread.</summary>
    internal static int CurrentThreadId() => (int)Libc.syscall(s_gettid);

    /// <summary>Sends a signal to one thread of this process.</summary>
    /// <returns>0, or the error number.</returns>
    internal static int Send(int threadId, int signal) =>
        Libc.syscall(s_tgkill, Environment.ProcessId, threadId, signal) == 0 ? 0 : Marshal.GetLastPInvokeError();

    /// <summary>Blocks a signal in the calling thread.</summary>
    /// <returns>The thread's mask before.</returns>
    internal static ulong Block(int signal)
    {
        var set = new SignalSet { Signals = BitOf(signal) };
        SignalSet old = default;
        // Both sets live on this stack until the call returns; the C library touches at most 128 bytes of each.
        var errno = Libc.pthread_sigmask(Libc.SIG_BLOCK, &set, &old);
        if (errno != 0)
            KvmError.Throw("pthread_sigmask", errno);
        return old.Signals;
    }

    /// <summary>Puts back the mask that <see cref="Block"/> returned.</summary>
    internal static void Restore(ulong mask)
    {
        var set = new SignalSet { Signals = mask };
        // The set lives on this stack until the call returns; the C library reads at most 128 bytes of it.
        var errno = Libc.pthread_sigmask(Libc.SIG_SETMASK, &set, null);
        if (errno != 0)
            KvmError.Throw("pthread_sigmask", errno);
    }

    /// <summary>Takes every pending instance of a blocked signal off the calling thread, without waiting.</summary>
    internal static void Consume(int signal)
    {
        var set = new SignalSet { Signals = BitOf(signal) };
        TimeSpec now = default;
        // The set and the time live on this stack until the call returns; no siginfo_t is asked for.
        // EINTR means that another signal came between: only EAGAIN says that none of this one is left.
        while (Libc.sigtimedwait(&set, null, &now) >= 0 || Marshal.GetLastPInvokeError() == Errno.EINTR)
        {
        }
    }

    internal static ulong BitOf(int signal) => 1UL << (signal - 1);
}
