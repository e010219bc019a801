using System.Collections.Immutable;
using Akka.Configuration;
using Akka.Persistence;
using Akka.Persistence.Sql.Journal;

namespace Checkpoint.Actors.Akka.Tests.Coordination;

/// <summary>What the journal does with the next write.</summary>
internal enum JournalFault
{
    /// <summary>Nothing: it writes.</summary>
    None,

    /// <summary>Write nothing and fail.</summary>
    Lose,

    /// <summary>Write and fail all the same: the answer was lost.</summary>
    WriteAndFail,

    /// <summary>Refuse it without writing, as where it cannot be serialised.</summary>
    Reject,
}

/// <summary>Akka.Persistence.Sql's journal with faults to order.</summary>
/// <param name="config">The plugin's section.</param>
public sealed class FaultyJournal(Config config) : SqlWriteJournal(config)
{
    public const string Settings =
        """
        akka.persistence.journal.sql.class = "Checkpoint.Actors.Akka.Tests.Coordination.FaultyJournal, Checkpoint.Actors.Akka.Tests"
        akka.persistence.journal.sql.circuit-breaker { max-failures = 1000 }
        """;

    internal static JournalFault Next { get; set; }

    /// <summary>Whether it cannot be read either.</summary>
    internal static bool IsUnreadable { get; set; }

    public override Task<long> ReadHighestSequenceNrAsync(string persistenceId, long fromSequenceNr, CancellationToken cancellationToken) => IsUnreadable
        ? throw new IOException("the disk is gone")
        : base.ReadHighestSequenceNrAsync(persistenceId, fromSequenceNr, cancellationToken);

    protected override async Task<IImmutableList<Exception>> WriteMessagesAsync(IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken)
    {
        var fault = Next;
        Next = JournalFault.None;
        switch (fault)
        {
            case JournalFault.Lose:
                throw new IOException("the disk is gone");
            case JournalFault.WriteAndFail:
                await base.WriteMessagesAsync(messages, cancellationToken);
                throw new IOException("the answer is lost");
            case JournalFault.Reject:
                return [.. messages.Select(_ => new InvalidOperationException("it does not fit"))];
            default:
                return await base.WriteMessagesAsync(messages, cancellationToken);
        }
    }
}
