using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>Waiting for a word of memory to change, as <c>futex(2)</c> describes it; between threads of this process only.</summary>
internal static unsafe class Futex
{
    private const int WaitPrivate = 0 | 128;
    private const int WakePrivate = 1 | 128;

    private static readonly nint s_futex = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 202 : 98;

    /// <summary>Sleeps while the word has this value; returns when woken, when the time is over, and sometimes for no reason.</summary>
    /// <param name="word">One word in memory that does not move.</param>
    /// <param name="value">The value that it must still have.</param>
    /// <param name="atMost">How long; null for as long as it takes.</param>
    internal static void Wait(int[] word, int value, TimeSpan? atMost)
    {
        var time = default(TimeSpec);
        if (atMost is { } span)
            time = new TimeSpec { Seconds = span.Ticks / TimeSpan.TicksPerSecond, Nanoseconds = span.Ticks % TimeSpan.TicksPerSecond * TimeSpan.NanosecondsPerTick };
        // The caller's array was allocated pinned and is kept alive over the call; the kernel reads its first four bytes, and
        // the time, which lives on this stack.
        fixed (int* address = word)
            Libc.syscall(s_futex, address, WaitPrivate, value, atMost is null ? null : &time);
    }

    /// <summary>Wakes one thread that sleeps on the word.</summary>
    internal static void WakeOne(int[] word)
    {
        // The caller's array was allocated pinned; the kernel takes the address as a name and touches nothing.
        fixed (int* address = word)
            Libc.syscall(s_futex, address, WakePrivate, 1, null);
    }
}
