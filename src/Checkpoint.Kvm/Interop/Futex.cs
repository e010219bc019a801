using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>Waiting for a word of memory to change, as <c>futex(2)</c> describes it; between threads of this process only.</summary>
internal static unsafe class Futex
{
    private const int WaitPrivate = 0 | 128;
    private const int WakePrivate = 1 | 128;

    private static readonly nint s_futex = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 202 : 98;

    /// <summary>Sleeps while the word has this value; returns when woken, and sometimes for no reason.</summary>
    /// <param name="word">One word in memory that does not move.</param>
    /// <param name="value">The value that it must still have.</param>
    internal static void Wait(int[] word, int value)
    {
        // The caller's array was allocated pinned and is kept alive over the call; the kernel reads its first four bytes.
        fixed (int* address = word)
            Libc.syscall(s_futex, address, WaitPrivate, value, 0);
    }

    /// <summary>Wakes one thread that sleeps on the word.</summary>
    internal static void WakeOne(int[] word)
    {
        // The caller's array was allocated pinned; the kernel takes the address as a name and touches nothing.
        fixed (int* address = word)
            Libc.syscall(s_futex, address, WakePrivate, 1, 0);
    }
}
