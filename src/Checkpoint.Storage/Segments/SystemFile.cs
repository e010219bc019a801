using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Segments;

/// <summary>An open file of the operating system.</summary>
internal sealed class SystemFile(SafeFileHandle handle) : ISegmentFile
{
    // Smaller reads gain from what the page cache reads ahead.
    private const int LeastPastCache = 256 << 10;
    private const int Alignment = 4096;

    private readonly Lock _gate = new();
    private SafeFileHandle? _direct;
    private bool _isDirectTried;
    private volatile bool _isDirectRefused;

    public long Length => RandomAccess.GetLength(handle);

    // Also with relatime the first access after a write is noted.
    public bool WasRead { get; } = File.GetLastAccessTimeUtc(handle) > File.GetLastWriteTimeUtc(handle);

    public int Read(Span<byte> buffer, long offset) => RandomAccess.Read(handle, buffer, offset);

    public int ReadPastCache(Span<byte> buffer, long offset)
    {
        if (_isDirectRefused || !IsAligned(buffer, offset) || PageCache.Holds(handle, offset, buffer.Length) || Direct() is not { } direct)
            return Read(buffer, offset);
        try
        {
            return RandomAccess.Read(direct, buffer, offset);
        }
        catch (IOException)
        {
            // A file system may take the flag and refuse the read, or want more than this alignment. What is wrong with the disk the other read tells too.
            _isDirectRefused = true;
            return Read(buffer, offset);
        }
    }

    public void Write(ReadOnlySpan<byte> bytes, long offset) => RandomAccess.Write(handle, bytes, offset);

    public void Write(IReadOnlyList<ReadOnlyMemory<byte>> pieces, long offset) => RandomAccess.Write(handle, pieces, offset);

    public void Sync() => FileSync.File(handle);

    public void Dispose()
    {
        handle.Dispose();
        lock (_gate)
        {
            _isDirectRefused = true;
            _direct?.Dispose();
        }
    }

    private static bool IsAligned(Span<byte> buffer, long offset) =>
        buffer.Length >= LeastPastCache && buffer.Length % Alignment == 0 && offset % Alignment == 0
        && Unsafe.ByteOffset(ref Unsafe.NullRef<byte>(), ref MemoryMarshal.GetReference(buffer)) % Alignment == 0;

    private SafeFileHandle? Direct()
    {
        lock (_gate)
        {
            if (!_isDirectTried)
            {
                _isDirectTried = true;
                _direct = PageCache.TryOpenPast(handle);
                _isDirectRefused = _direct is null;
            }

            return _direct;
        }
    }
}
