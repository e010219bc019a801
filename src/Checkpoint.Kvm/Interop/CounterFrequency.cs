using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>
/// CNTFRQ_EL0 of an arm64 host. Every program may read it, but only by an instruction: so the two instructions that it takes are
/// put into a page of their own, which is first written and then made executable.
/// </summary>
internal static unsafe class CounterFrequency
{
    /// <summary>mrs x0, cntfrq_el0; ret.</summary>
    internal static ReadOnlySpan<byte> Code => [0x00, 0xe0, 0x3b, 0xd5, 0xc0, 0x03, 0x5f, 0xd6];

    /// <summary>The frequency in Hz; 0 on other processors, and where this process may not make memory executable.</summary>
    internal static ulong Hz { get; } = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? Read() : 0;

    private static ulong Read()
    {
        var length = (nuint)Environment.SystemPageSize;
        var page = Libc.mmap(0, length, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS, -1, 0);
        if (page == -1)
            return 0;
        // The page belongs to this method, which writes and calls no more of it than the code.
        Code.CopyTo(new Span<byte>((void*)page, Code.Length));
        var hz = Libc.mprotect(page, length, Libc.PROT_READ | Libc.PROT_EXEC) == 0 ? ((delegate* unmanaged<ulong>)page)() : 0;
        _ = Libc.munmap(page, length);
        return hz;
    }
}
