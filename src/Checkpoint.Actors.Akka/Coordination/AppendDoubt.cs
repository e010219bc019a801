using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>An append of which nobody knows what became, until it is settled and the stream has been read again.</summary>
/// <param name="appendId">Which append.</param>
/// <param name="reason">What the journal said of it.</param>
/// <param name="settlement">How it is settled.</param>
internal sealed class AppendDoubt(long appendId, string reason, AppendSettlement settlement)
{
    private readonly Backoff _backoff = new(EngineThreads.Own);

    public long AppendId => appendId;

    public string Reason => reason;

    public AppendSettlement Settlement => settlement;

    /// <summary>How often it was tried to settle it and to read the stream.</summary>
    public int Attempts => _backoff.Attempts;

    /// <summary>How long to wait where the last attempt fails.</summary>
    public TimeSpan Wait { get; private set; }

    /// <summary>Why the last attempt failed; null before one has.</summary>
    public string? Obstacle { get; private set; }

    /// <summary>It is tried once more.</summary>
    public void BeginAttempt() => Wait = _backoff.Next();

    /// <summary>It has failed.</summary>
    public void EndAttempt(string obstacle) => Obstacle = obstacle;
}
