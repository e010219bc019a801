using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Segments;

/// <summary>What the kernel keeps of files in memory: whether it has a part of one (cachestat(2)), and the way past it (O_DIRECT of open(2)).</summary>
internal static class PageCache
{
    private const int OpenReadOnlyDirectCloseOnExec = 0x84000;
    private const int OpenReadOnlyDirectCloseOnExecArm64 = 0x90000;
    private const int Cachestat = 451;

    /// <summary>Whether it holds all of a range of a file (cachestat(2), since Linux 6.5); so it is taken to be where the kernel does not say.</summary>
    public static bool Holds(SafeFileHandle file, long offset, long length)
    {
        // struct cachestat_range: off, len. struct cachestat: nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted.
        ulong[] range = [(ulong)offset, (ulong)length];
        var found = new ulong[5];
        var result = NativeCachestat(Cachestat, (int)file.DangerousGetHandle(), range, found, 0);
        GC.KeepAlive(file);
        return result != 0 || found[0] >= (ulong)(length / Environment.SystemPageSize);
    }

    /// <summary>Opens a file that is open already once more, to be read past the page cache; it may have no name any more.</summary>
    /// <returns>Null where its file system has no such reading, or the system no room for another descriptor.</returns>
    public static SafeFileHandle? TryOpenPast(SafeFileHandle file)
    {
        // O_DIRECT has another value on arm64.
        var flags = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? OpenReadOnlyDirectCloseOnExecArm64 : OpenReadOnlyDirectCloseOnExec;
        try
        {
            return FileSync.Open($"/proc/self/fd/{file.DangerousGetHandle()}", flags, 0, "a segment");
        }
        catch (IOException)
        {
            return null;
        }
        finally
        {
            GC.KeepAlive(file);
        }
    }

    // The C library has no function for it. The kernel reads the one and writes the other.
    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint NativeCachestat(nint number, nint descriptor, ulong[] range, [Out] ulong[] found, nint flags);
}
