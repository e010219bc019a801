using Akka.Persistence;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// Folds what a recovery offers into a history, and trusts nothing of it: numbers without gaps, each event holding the digest
/// of the one before it, and the machine being the one whose stream it is.
/// </summary>
internal sealed class StreamFold(string vm)
{
    private const string Part = "journal";

    /// <summary>The stream as far as it was offered.</summary>
    public MachineHistory History { get; private set; } = MachineHistory.Empty;

    /// <summary>Begins with a snapshot.</summary>
    /// <exception cref="SnapshotDoubtedException">It cannot be what the stream says: it must be read from its first event.</exception>
    public void Offer(SnapshotOffer offer)
    {
        var history = (offer.Snapshot as HistorySnapshot)?.History;
        if (history is null || history.Head.SequenceNumber != offer.Metadata.SequenceNr || history.Registration?.Vm != vm)
            throw new SnapshotDoubtedException($"the snapshot of event {offer.Metadata.SequenceNr} of the machine '{vm}' cannot be read");
        History = history;
    }

    /// <summary>Folds the next event in.</summary>
    /// <exception cref="IntegrityException">It cannot follow.</exception>
    public void Fold(ChainedEvent chained, long sequenceNumber)
    {
        if (sequenceNumber != History.Head.SequenceNumber + 1)
            throw Damage($"event {sequenceNumber} follows event {History.Head.SequenceNumber}", History.Head.SequenceNumber + 1);
        if (chained.Previous != History.Head.Digest)
            throw Damage("the event before it is not the one that it was written after", sequenceNumber);
        if (chained.Event is MachineEvent.MachineRegistered registered && registered.Vm != vm)
            throw Damage($"it registers the machine '{registered.Vm}'", sequenceNumber);
        try
        {
            History = History.Evolve(chained.Event, new JournalHead(sequenceNumber, chained.Digest));
        }
        catch (InvalidHistoryException invalid)
        {
            throw Damage(invalid.Message, sequenceNumber, invalid);
        }
    }

    private IntegrityException Damage(string what, long sequenceNumber, Exception? inner = null) => new(vm, Part, what, sequenceNumber, inner: inner);
}

/// <summary>A snapshot does not fit its stream; without it the recovery takes longer and is right.</summary>
internal sealed class SnapshotDoubtedException(string message) : Exception(message);
