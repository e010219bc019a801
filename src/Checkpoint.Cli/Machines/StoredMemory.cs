using Checkpoint.Actors;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Cli.Machines;

/// <summary>The memory of a checkpoint as it lies in the store: its segment, and those that it builds on.</summary>
internal sealed class StoredMemory : IDisposable
{
    private readonly List<SegmentReader> _segments = [];

    private StoredMemory(MachineDescription machine) => Regions = machine.Memory;

    /// <summary>Where the machine has memory.</summary>
    public IReadOnlyList<MemoryRegion> Regions { get; }

    /// <summary>Opens the segments.</summary>
    /// <exception cref="IntegrityException">One is missing or damaged.</exception>
    public static async Task<StoredMemory> OpenAsync(CheckpointEngine engine, StoredCheckpoint stored, CancellationToken cancellationToken)
    {
        var history = await engine.Store.RecoverAsync(stored.Vm, cancellationToken).ConfigureAwait(false);
        var memory = new StoredMemory(stored.Document.Machine);
        try
        {
            for (var committed = stored.Event; ;)
            {
                if (committed.Segment is not null)
                    memory._segments.Insert(0, engine.Store.Segments.Open(stored.Vm, committed));
                if (committed.Mode == CheckpointMode.Full)
                    return memory;
                committed = committed.Parent is { } parent && history.Live.TryGetValue(parent, out var older)
                    ? older
                    : throw new IntegrityException(stored.Vm, "journal", $"it builds on checkpoint {committed.Parent}, which does not exist", checkpoint: committed.Number);
            }
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    /// <summary>Reads whole pages, each checked against its checksum; what nobody has written is zero.</summary>
    /// <exception cref="IntegrityException">A page is damaged.</exception>
    public void Read(ulong guestAddress, Span<byte> destination)
    {
        destination.Clear();
        // Oldest first: what is newer comes on top of it.
        foreach (var segment in _segments)
            segment.Read(guestAddress, destination);
    }

    public void Dispose() => _segments.ForEach(segment => segment.Dispose());
}
