using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Memory;

/// <summary>One stretch of copied guest memory.</summary>
/// <param name="GuestAddress">Guest physical address of the first byte.</param>
/// <param name="Bytes">The copy.</param>
public readonly record struct CopiedMemory(ulong GuestAddress, ReadOnlyMemory<byte> Bytes);

/// <summary>
/// A whole copy of a guest's memory, in buffers that are made and touched beforehand so that the pause pays for the copy only.
/// </summary>
public sealed class MemoryCopy
{
    private const int PieceSize = 64 << 20;
    private const int PageSize = 4096;

    private readonly IGuestMemory _memory;
    private readonly List<(ulong GuestAddress, byte[] Copy)> _pieces = [];

    /// <summary>Makes the buffers: as much host memory as the guest has.</summary>
    public MemoryCopy(IGuestMemory memory)
    {
        _memory = memory;
        foreach (var region in memory.Regions)
        {
            for (var offset = 0UL; offset < region.SizeBytes; offset += PieceSize)
            {
                var length = (int)Math.Min(PieceSize, region.SizeBytes - offset);
                var address = region.GuestAddress + offset;
                var copy = GC.AllocateUninitializedArray<byte>(length, pinned: true);
                for (var page = 0; page < length; page += PageSize)
                    copy[page] = 0;
                _pieces.Add((address, copy));
                SizeBytes += length;
            }
        }
    }

    /// <summary>The size of the copy in bytes.</summary>
    public long SizeBytes { get; }

    /// <summary>The copy, in ascending order of guest address. Valid until the next <see cref="Capture"/>.</summary>
    public IEnumerable<CopiedMemory> Pieces => _pieces.Select(piece => new CopiedMemory(piece.GuestAddress, piece.Copy));

    /// <summary>Copies everything; the guest must be parked.</summary>
    public void Capture()
    {
        foreach (var (address, copy) in _pieces)
            _memory.Read(address, copy);
    }
}
