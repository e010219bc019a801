using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Journal;

/// <summary>A state document to store with the event that names it.</summary>
/// <param name="Number">The number of its checkpoint.</param>
/// <param name="Bytes">The encoded document.</param>
public sealed record NewStateDocument(long Number, ReadOnlyMemory<byte> Bytes);

/// <summary>What becomes durable together, or not at all.</summary>
/// <param name="Vm">The machine whose stream it is.</param>
/// <param name="Expected">The end of the stream that the writer knows. Anything else found there is a conflict.</param>
/// <param name="Events">The events, in their order; none where only state documents are stored or deleted.</param>
/// <param name="StateDocument">The state document of the checkpoint that the events commit; one left over under its number is replaced.</param>
/// <param name="DeleteStateDocuments">Numbers of checkpoints pruned by an earlier append, whose documents go now.</param>
public sealed record JournalAppend(
    string Vm,
    JournalHead Expected,
    IReadOnlyList<MachineEvent> Events,
    NewStateDocument? StateDocument,
    IReadOnlyList<long> DeleteStateDocuments)
{
    /// <summary>An append of events alone.</summary>
    public JournalAppend(string vm, JournalHead expected, params IReadOnlyList<MachineEvent> events)
        : this(vm, expected, events, null, [])
    {
    }
}

/// <summary>How an append ended.</summary>
public abstract record AppendOutcome
{
    private AppendOutcome()
    {
    }

    /// <summary>How it ended, as one line for a person.</summary>
    public string Describe() => this switch
    {
        Conflict conflict => conflict.Reason,
        Refused refused => refused.Reason,
        Unknown unknown => $"nobody knows whether it was written: {unknown.Reason}",
        _ => "it was written",
    };

    /// <summary>All of it is durable.</summary>
    /// <param name="Head">The stream's new end.</param>
    public sealed record Committed(JournalHead Head) : AppendOutcome;

    /// <summary>Nothing was written: the stream does not end where the writer believes, somebody else wrote.</summary>
    /// <param name="Reason">What was found, as one line.</param>
    public sealed record Conflict(string Reason) : AppendOutcome;

    /// <summary>Certainly nothing was written; the stream is as it was. The reason is one line: full, busy, read-only.</summary>
    /// <param name="Reason">What happened, as one line.</param>
    public sealed record Refused(string Reason) : AppendOutcome;

    /// <summary>It may or may not be written. The writer must recover from the journal before it goes on.</summary>
    /// <param name="Reason">What happened, as one line.</param>
    public sealed record Unknown(string Reason) : AppendOutcome;
}
