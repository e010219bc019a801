using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// The memory of a checkpoint as it lies in the store: its segment and those that it builds on, put together by their indexes. The
/// files stay open until it is disposed of, so that a prune meanwhile takes nothing away.
/// </summary>
public sealed class StoredMemory : IDisposable
{
    private readonly ImmutableArray<SegmentReader> _newestFirst;

    private StoredMemory(ImmutableArray<SegmentReader> newestFirst) => _newestFirst = newestFirst;

    /// <summary>How many segments it is made of; 0 for a checkpoint without memory.</summary>
    public int Segments => _newestFirst.Length;

    /// <summary>
    /// Whether single pages can be read without reading many others, as a lazy restore does. They can unless one of the
    /// segments is compressed.
    /// </summary>
    public bool CanReadLazily => !_newestFirst.Any(segment => segment.IsCompressed);

    /// <summary>Opens the segments of a checkpoint.</summary>
    /// <param name="segments">Where they are.</param>
    /// <param name="vm">The machine.</param>
    /// <param name="history">What the machine's stream says of the checkpoints that this one builds on.</param>
    /// <param name="committed">The checkpoint.</param>
    /// <exception cref="IntegrityException">One is missing, or not what its event says.</exception>
    public static StoredMemory Open(SegmentStore segments, string vm, MachineHistory history, MachineEvent.CheckpointCommitted committed) =>
        Open(segments, vm, history, committed, readsAll: false);

    /// <summary>As above; who will read all of it says so, and need not read it through the page cache.</summary>
    /// <param name="segments">Where they are.</param>
    /// <param name="vm">The machine.</param>
    /// <param name="history">What the machine's stream says of the checkpoints that this one builds on.</param>
    /// <param name="committed">The checkpoint.</param>
    /// <param name="readsAll">Whether all of it will be read.</param>
    public static StoredMemory Open(
        SegmentStore segments, string vm, MachineHistory history, MachineEvent.CheckpointCommitted committed, bool readsAll)
    {
        var opened = ImmutableArray.CreateBuilder<SegmentReader>();
        try
        {
            for (var at = committed; ;)
            {
                if (at.Segment is not null)
                    opened.Add(segments.Open(vm, at, readsAll));
                if (at.Mode == CheckpointMode.Full)
                    return new StoredMemory(opened.ToImmutable());
                at = at.Parent is { } parent && history.Live.TryGetValue(parent, out var older)
                    ? older
                    : throw new IntegrityException(vm, "journal", $"it builds on checkpoint {at.Parent}, which does not exist", checkpoint: at.Number);
            }
        }
        catch
        {
            foreach (var segment in opened)
                segment.Dispose();
            throw;
        }
    }

    /// <summary>What is stored of the page at an address, by the newest segment that has it, and of how many pages from there.</summary>
    /// <param name="guestAddress">Guest physical address, a multiple of 4096.</param>
    public SegmentRun Find(ulong guestAddress) => Find(guestAddress, out _);

    /// <summary>Reads whole pages, each checked against its checksum; what nobody has stored is zero.</summary>
    /// <param name="guestAddress">Guest physical address of the range, a multiple of 4096.</param>
    /// <param name="destination">Takes the range: a multiple of 4096 bytes.</param>
    /// <exception cref="IntegrityException">A page is not what was written; the message names its checkpoint, segment and guest address.</exception>
    public void Read(ulong guestAddress, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            var found = Find(guestAddress, out var holder);
            var size = (int)Math.Min((ulong)destination.Length, (ulong)found.Pages * SegmentFormat.PageBytes);
            if (holder is null)
                destination[..size].Clear();
            else
                holder.Read(guestAddress, destination[..size]);
            destination = destination[size..];
            guestAddress += (ulong)size;
        }
    }

    /// <summary>Closes the files.</summary>
    public void Dispose()
    {
        foreach (var segment in _newestFirst)
            segment.Dispose();
    }

    private SegmentRun Find(ulong guestAddress, out SegmentReader? holder)
    {
        var pages = long.MaxValue;
        foreach (var segment in _newestFirst)
        {
            var found = segment.Find(guestAddress);
            pages = Math.Min(pages, found.Pages);
            if (found.Content != PageContent.NotHere)
            {
                holder = segment;
                return new SegmentRun(guestAddress, pages, found.Content);
            }
        }

        holder = null;
        return new SegmentRun(guestAddress, Math.Min(pages, long.MaxValue / SegmentFormat.PageBytes), PageContent.NotHere);
    }
}
