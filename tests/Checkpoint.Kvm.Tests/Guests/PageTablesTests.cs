using System.Buffers.Binary;
using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class PageTablesTests
{
    private const ulong Mebibyte = 1UL << 20;
    private const ulong Gibibyte = 1UL << 30;

    [Theory]
    [InlineData(36864UL)]
    [InlineData(2 * Mebibyte)]
    [InlineData(8 * Mebibyte)]
    [InlineData((5 * Mebibyte) + 4096)]
    [InlineData(Gibibyte)]
    [InlineData(Gibibyte + 4096)]
    [InlineData((4 * Gibibyte) + (2 * Mebibyte))]
    public void Every_page_of_memory_is_mapped_to_itself_and_nothing_beyond(ulong memoryBytes)
    {
        var memory = new Dictionary<ulong, ReadOnlyMemory<byte>>();
        var tables = new PageTables(0x2000, memoryBytes);
        tables.Load((address, bytes) => memory.Add(address, bytes));

        ulong[] inside = [0, 4096, memoryBytes / 2, memoryBytes - 4096, memoryBytes - 1];
        Assert.All(inside, address => Assert.Equal(address, Translate(memory, tables.Start, address)));
        Assert.Null(Translate(memory, tables.Start, memoryBytes));
        Assert.Null(Translate(memory, tables.Start, memoryBytes + (2 * Mebibyte)));
        Assert.Equal((tables.End - tables.Start) / 4096, (ulong)memory.Count);
    }

    [Fact]
    public void Memory_in_whole_large_pages_needs_no_small_ones()
    {
        Assert.Equal(0x2000UL + (3 * 4096), new PageTables(0x2000, 8 * Mebibyte).End);
        Assert.Equal(0x2000UL + (4 * 4096), new PageTables(0x2000, (8 * Mebibyte) + 4096).End);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(4095UL)]
    [InlineData(513 * Gibibyte)]
    public void Memory_that_cannot_be_mapped_is_refused(ulong memoryBytes) =>
        Assert.Throws<ArgumentOutOfRangeException>(() => new PageTables(0x2000, memoryBytes));

    /// <summary>Walks the tables as the processor does for a write at CPL 3; null for a page fault.</summary>
    private static ulong? Translate(Dictionary<ulong, ReadOnlyMemory<byte>> memory, ulong table, ulong address)
    {
        for (var shift = 39; ; shift -= 9)
        {
            var index = (int)(address >> shift) & 511;
            var entry = BinaryPrimitives.ReadUInt64LittleEndian(memory[table].Span[(index * 8)..]);
            if ((entry & 7) != 7)
            {
                return null;
            }

            var isLeaf = shift == 12 || (entry & 0x80) != 0;
            Assert.True((entry & 0x20) != 0 && (!isLeaf || (entry & 0x40) != 0), "The processor would write to the tables.");
            table = entry & 0x000f_ffff_ffff_f000;
            if (isLeaf)
            {
                return table + (address & ((1UL << shift) - 1));
            }
        }
    }
}
