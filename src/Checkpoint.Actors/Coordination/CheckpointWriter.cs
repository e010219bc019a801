using System.Buffers;
using System.Diagnostics;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Locks;
using Checkpoint.Storage.Payloads;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// Makes a captured round's parts durable. Until the event that names them is appended they are nobody's; a crash leaves them
/// to the sweep. One round at a time is written, and all calls come from the store thread.
/// </summary>
internal sealed class CheckpointWriter(IMachineLock held, CheckpointStore store, MachineHost host, bool compresses)
{
    private readonly ArrayBufferWriter<byte> _document = new(64 << 10);
    private Written? _written;

    /// <summary>Encodes the state document and writes the memory's segment, synced.</summary>
    /// <param name="effect">Which round.</param>
    /// <param name="cancellationToken">Ends the writing; what was written is removed.</param>
    public StoredParts Store(CoordinatorEffect.StoreParts effect, CancellationToken cancellationToken = default)
    {
        var machine = host.Machine;
        // First of all: the guest waits where it writes to what is not copied yet.
        machine.BeginStoring();
        try
        {
            return Store(effect, machine, cancellationToken);
        }
        finally
        {
            machine.EndStoring();
        }
    }

    /// <summary>The state document that this round wrote.</summary>
    public (long Number, ReadOnlyMemory<byte> Bytes) DocumentOf(RoundId round) => _written is { } written && written.Round == round
        ? (written.Number, written.Document)
        : throw new UnreachableException($"Round {round.Value} is committed, but it has written nothing.");

    /// <summary>The round does not become a checkpoint: its segment goes.</summary>
    public void Discard(RoundId round)
    {
        if (_written is { } written && written.Round == round)
            Delete(written.Segment);
    }

    /// <summary>Deletes a segment that no event names any more. Where that fails the next opening's sweep does it.</summary>
    public void Delete(SegmentPart segment)
    {
        try
        {
            store.Segments.Delete(held, segment.Name);
        }
        catch (StoreException)
        {
            // Nothing names it: it costs space, not correctness.
        }
    }

    private StoredParts Store(CoordinatorEffect.StoreParts effect, MachineActor machine, CancellationToken cancellationToken)
    {
        _document.ResetWrittenCount();
        StateDocumentCodec.Encode(host.ToStateDocument(), _document);
        var document = _document.WrittenMemory;
        var identity = new SegmentIdentity(held.Vm, effect.Number, effect.Id, machine.Memory.Mode, effect.Parent);
        var copies = machine.Memory.Copies.Select(piece => new PageRun(piece.GuestAddress, piece.Bytes));
        var segment = compresses
            ? StoreThread.BesideGuests(() => store.Segments.Write(identity, copies, PageEncoding.Brotli, cancellationToken: cancellationToken))
            : store.Segments.Write(identity, copies, cancellationToken: cancellationToken);
        var pages = machine.Memory.Pages;
        _written = new Written(effect.Round, effect.Number, document, segment);
        return new StoredParts(
            new StoredPart(Digest.Of(document.Span), document.Length),
            segment,
            machine.Memory.Mode,
            pages * MemoryRegion.PageBytes,
            pages,
            machine.GuestClockNs,
            host.Batching)
        { Taking = machine.Memory.Taking };
    }

    private sealed record Written(RoundId Round, long Number, ReadOnlyMemory<byte> Document, SegmentPart Segment);
}
