using System.Collections.Immutable;
using Akka.Actor.Internal;
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

    /// <summary>Fail now, and write when <see cref="FaultyJournal.LetLand"/> says so: what a circuit breaker does with a slow write.</summary>
    FailAndWriteLater,

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

    private static TaskCompletionSource s_delayed = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static TaskCompletionSource s_mayLand = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static TaskCompletionSource s_after = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private static Task s_landed = Task.CompletedTask;

    internal static JournalFault Next { get; set; }

    /// <summary>Whether it cannot be read either.</summary>
    internal static bool IsUnreadable { get; set; }

    /// <summary>How long the next write waits before it begins; infinite: until <see cref="LetLand"/> says so.</summary>
    internal static TimeSpan Delay { get; set; }

    /// <summary>Ends when a write that waited has ended, however it ended.</summary>
    internal static Task Landed => s_after.Task;

    /// <summary>Ends when a write waits.</summary>
    internal static Task Delayed => s_delayed.Task;

    /// <summary>Lets the write land that was answered by a failure long ago, or that waits.</summary>
    /// <returns>What the one that was answered came to.</returns>
    internal static async Task<Exception?> LetLand()
    {
        s_mayLand.TrySetResult();
        return await Record.ExceptionAsync(() => s_landed);
    }

    internal static void Reset()
    {
        s_mayLand = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        s_after = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        s_landed = Task.CompletedTask;
        (Next, IsUnreadable, Delay) = (JournalFault.None, false, TimeSpan.Zero);
        s_delayed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    public override Task<long> ReadHighestSequenceNrAsync(string persistenceId, long fromSequenceNr, CancellationToken cancellationToken) => IsUnreadable
        ? throw new IOException("the disk is gone")
        : base.ReadHighestSequenceNrAsync(persistenceId, fromSequenceNr, cancellationToken);

    protected override async Task<IImmutableList<Exception>> WriteMessagesAsync(IEnumerable<AtomicWrite> messages, CancellationToken cancellationToken)
    {
        var delay = Delay;
        Delay = TimeSpan.Zero;
        if (delay != TimeSpan.Zero)
        {
            var cell = InternalCurrentActorCellKeeper.Current;
            s_delayed.TrySetResult();
            await (delay == Timeout.InfiniteTimeSpan ? s_mayLand.Task : Task.Delay(delay, CancellationToken.None));
            // The journal below believes that it is still handling the message.
            InternalCurrentActorCellKeeper.Current = cell;
            var write = base.WriteMessagesAsync(messages, cancellationToken);
            InternalCurrentActorCellKeeper.Current = null;
            try
            {
                return await write;
            }
            finally
            {
                s_after.TrySetResult();
            }
        }

        var fault = Next;
        Next = JournalFault.None;
        switch (fault)
        {
            case JournalFault.Lose:
                throw new IOException("the disk is gone");
            case JournalFault.WriteAndFail:
                await base.WriteMessagesAsync(messages, cancellationToken);
                throw new IOException("the answer is lost");
            case JournalFault.FailAndWriteLater:
                s_landed = WriteLaterAsync([.. messages]);
                throw new TimeoutException("the breaker is open");
            case JournalFault.Reject:
                return [.. messages.Select(_ => new InvalidOperationException("it does not fit"))];
            default:
                return await base.WriteMessagesAsync(messages, cancellationToken);
        }
    }

    private async Task WriteLaterAsync(IReadOnlyList<AtomicWrite> messages)
    {
        var cell = InternalCurrentActorCellKeeper.Current;
        await s_mayLand.Task.ConfigureAwait(false);
        // The journal below believes that it is still handling the message.
        InternalCurrentActorCellKeeper.Current = cell;
        var write = base.WriteMessagesAsync(messages, CancellationToken.None);
        InternalCurrentActorCellKeeper.Current = null;
        await write.ConfigureAwait(false);
    }
}
