using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Running;

/// <summary>The kernel's priority of single threads (<c>setpriority(2)</c>: on Linux nice values belong to threads).</summary>
public static class ThreadNiceness
{
    private const int Process = 0; // PRIO_PROCESS; who 0 is the calling thread.
    private const int OrdinaryResetOnFork = 0x40000000; // SCHED_OTHER | SCHED_RESET_ON_FORK

    /// <summary>The value that the process was started with: its first thread's, which every thread has that nobody gave another.</summary>
    public static int OfProcess { get; } = Libc.getpriority(Process, (uint)Environment.ProcessId);

    /// <summary>
    /// Lets the calling thread run ahead of others, and it alone: threads that come into being on it, such as a pool's, begin at
    /// 0 (<c>sched(7)</c>, SCHED_RESET_ON_FORK). It takes CAP_SYS_NICE or a raised RLIMIT_NICE; without them nothing changes.
    /// </summary>
    /// <param name="nice">From -20, first, to -1.</param>
    /// <returns>Whether the kernel took it.</returns>
    public static bool TryGoAhead(int nice) => Libc.sched_setscheduler(0, OrdinaryResetOnFork, 0) == 0 && TrySet(nice);

    /// <summary>Sets the calling thread's value. To lower it takes CAP_SYS_NICE or a raised RLIMIT_NICE; without them nothing changes.</summary>
    /// <param name="nice">From -20, first, to 19, last; vCPU threads have <see cref="OfProcess"/>.</param>
    /// <returns>Whether the kernel took it.</returns>
    public static bool TrySet(int nice) => Libc.setpriority(Process, 0, nice) == 0;
}
