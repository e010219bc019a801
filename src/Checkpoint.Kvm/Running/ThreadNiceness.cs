using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Running;

/// <summary>The kernel's priority of single threads (<c>setpriority(2)</c>: on Linux nice values belong to threads).</summary>
public static class ThreadNiceness
{
    private const int Process = 0; // PRIO_PROCESS; who 0 is the calling thread.

    /// <summary>
    /// Lets the calling thread run ahead of others. It takes CAP_SYS_NICE or a raised RLIMIT_NICE; without them nothing
    /// changes.
    /// </summary>
    /// <param name="nice">From -20, first, to 19, last; vCPU threads have 0.</param>
    /// <returns>Whether the kernel took it.</returns>
    public static bool TrySet(int nice) => Libc.setpriority(Process, 0, nice) == 0;
}
