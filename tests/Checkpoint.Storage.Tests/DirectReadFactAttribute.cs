using System.Runtime.InteropServices;
using Checkpoint.Storage.Segments;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Tests;

/// <summary>A test of reading past the page cache; reported as skipped where kernel or file system have no such thing.</summary>
internal sealed class DirectReadFactAttribute : FactAttribute
{
    private const int DontNeed = 4; // POSIX_FADV_DONTNEED

    public DirectReadFactAttribute()
    {
        using var folder = new TemporaryFolder();
        var path = folder.File("probe");
        WriteDurably(path, new byte[4096]);
        using var handle = File.OpenHandle(path);
        using var direct = PageCache.TryOpenPast(handle);
        Evict(handle);
        if (direct is null)
            Skip = $"the file system of {folder.Path} has no direct reads";
        else if (PageCache.Holds(handle, 0, 4096))
            Skip = $"this kernel does not tell what its page cache holds, or {folder.Path} is nowhere else";
    }

    /// <summary>Writes a file whose pages can leave the page cache.</summary>
    public static void WriteDurably(string path, byte[] content)
    {
        using var file = File.Create(path);
        file.Write(content);
        file.Flush(flushToDisk: true);
    }

    /// <summary>Takes a file out of the page cache.</summary>
    public static void Evict(SafeFileHandle file) => Assert.Equal(0, posix_fadvise((int)file.DangerousGetHandle(), 0, 0, DontNeed));

    [DllImport("libc")]
    private static extern int posix_fadvise(int descriptor, long offset, long length, int advice);
}
