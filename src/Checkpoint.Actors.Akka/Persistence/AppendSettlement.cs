using Checkpoint.Protocol.Events;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Akka.Persistence;

/// <summary>
/// Ends the doubt about an append that Akka.Persistence was given and has not answered, or has answered with a failure: a circuit
/// breaker answers for a write that goes on, so no answer but success says anything. The store puts an event of its own in the
/// append's place. The journal's index lets only one of them in, so afterwards the append stands there or never will.
/// </summary>
internal sealed class AppendSettlement
{
    private readonly JournalAppend _instead;

    private AppendSettlement(string vm, JournalHead expected, MachineEvent instead)
    {
        // The same bytes in every attempt, so that an attempt that was written without saying so is known again.
        _instead = new JournalAppend(vm, expected, instead);
        Head = EventStream.HeadAfter(expected, [instead]);
    }

    /// <summary>The stream's end where the store's event stands in the append's place.</summary>
    public JournalHead Head { get; }

    /// <summary>Puts an abort in the place of an append of a coordinator's.</summary>
    public static AppendSettlement ByAbort(string vm, JournalHead expected, string doubt, DateTimeOffset now) =>
        new(vm, expected, new MachineEvent.CheckpointAborted($"the journal lost the write: {doubt}", null, null, null) { At = now });

    /// <summary>Puts the very event there that was to be appended: a stream begins with its registration and nothing else.</summary>
    public static AppendSettlement ByItself(string vm, JournalHead expected, MachineEvent @event) => new(vm, expected, @event);

    /// <summary>Tries once. Whatever stands in the append's place afterwards is on the disk.</summary>
    /// <exception cref="StoreException">The store cannot be used: nothing is settled.</exception>
    public async Task SettleAsync(IJournal journal, CancellationToken cancellationToken)
    {
        // What can be read back after a failed sync may lie in the host's memory only.
        await journal.ProveDurableAsync(_instead.Vm, cancellationToken).ConfigureAwait(false);
        var outcome = await journal.AppendAsync(_instead, cancellationToken).ConfigureAwait(false);
        // A conflict: something stands there. The stream says what.
        if (outcome is not (AppendOutcome.Committed or AppendOutcome.Conflict))
            throw new StoreException(StoreFailure.Unusable, $"the write cannot be settled: {outcome.Obstacle}");
    }

    /// <summary>Tries once, on a thread that may block, for no longer than the time given.</summary>
    /// <returns>Whether it is settled.</returns>
    public async Task<bool> TrySettleAsync(IJournal journal, TimeSpan patience, TimeProvider time)
    {
        using var giveUp = new CancellationTokenSource(patience, time);
        try
        {
            await Task.Run(() => SettleAsync(journal, giveUp.Token)).WaitAsync(patience, time).ConfigureAwait(false);
            return true;
        }
        catch (Exception failure) when (failure is StoreException or TimeoutException or OperationCanceledException or ObjectDisposedException)
        {
            return false;
        }
    }
}
