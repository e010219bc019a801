using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Four-level page tables that map guest memory to itself, for user mode and writable: 2 MiB pages, and 4 KiB pages for
/// what is left at the end.
/// </summary>
internal sealed class PageTables
{
    public const ulong PageBytes = 4096;
    public const ulong LargePageBytes = 2UL << 20;

    private const ulong EntriesPerTable = 512;
    private const ulong GigabyteBytes = EntriesPerTable * LargePageBytes;
    private const ulong MaxMemoryBytes = EntriesPerTable * GigabyteBytes;

    // Accessed and dirty are set from the start, so that the processor never writes to the tables.
    private const ulong Table = 0x27; // present, writable, user, accessed
    private const ulong Page = 0x67;  // and dirty
    private const ulong LargePage = 0xe7; // and page size

    private readonly ulong _memoryBytes;
    private readonly ulong _directories;
    private readonly bool _hasTail;

    public PageTables(ulong start, ulong memoryBytes)
    {
        if (memoryBytes == 0 || memoryBytes % PageBytes != 0 || memoryBytes > MaxMemoryBytes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(memoryBytes), memoryBytes, "Guest memory is whole pages of 4096 bytes, at most 512 GiB.");
        }

        Start = start;
        _memoryBytes = memoryBytes;
        _directories = (memoryBytes + GigabyteBytes - 1) / GigabyteBytes;
        _hasTail = memoryBytes % LargePageBytes != 0;
    }

    /// <summary>The physical address of the top table, for CR3. The others follow it page by page.</summary>
    public ulong Start { get; }

    public ulong End => Start + ((2 + _directories + (_hasTail ? 1UL : 0)) * PageBytes);

    private ulong PointerTable => Start + PageBytes;

    private ulong FirstDirectory => Start + (2 * PageBytes);

    private ulong TailTable => FirstDirectory + (_directories * PageBytes);

    public void Load(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        write(Start, Fill(1, _ => PointerTable | Table));
        write(PointerTable, Fill(_directories, i => (FirstDirectory + (i * PageBytes)) | Table));

        var largePages = _memoryBytes / LargePageBytes;
        for (var directory = 0UL; directory < _directories; directory++)
        {
            var first = directory * EntriesPerTable;
            var large = Math.Min(EntriesPerTable, largePages - Math.Min(first, largePages));
            var endsHere = _hasTail && directory == _directories - 1;
            write(
                FirstDirectory + (directory * PageBytes),
                Fill(
                    large + (endsHere ? 1UL : 0),
                    i => i < large ? ((first + i) * LargePageBytes) | LargePage : TailTable | Table));
        }

        if (_hasTail)
        {
            var tail = largePages * LargePageBytes;
            write(TailTable, Fill((_memoryBytes - tail) / PageBytes, i => (tail + (i * PageBytes)) | Page));
        }
    }

    private static byte[] Fill(ulong count, Func<ulong, ulong> entry)
    {
        var table = new byte[PageBytes];
        for (var i = 0UL; i < count; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(table.AsSpan((int)i * 8), entry(i));
        }

        return table;
    }
}
