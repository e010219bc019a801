namespace Checkpoint.Protocol.Coordination;

/// <summary>
/// What happens where the rest of the memory would make the pause longer than it may be. It is estimated before anybody parks, and once more in
/// the pause, because guests write until they are parked.
/// </summary>
public enum OverMaxPause
{
    /// <summary>
    /// The rest is protected against writes and copied after the pause, while a guest that writes to it waits for a moment; where the host does
    /// not permit that, the checkpoint is refused.
    /// </summary>
    Protect,

    /// <summary>The checkpoint is given up: before anybody parks, or in the pause where the guest has written too much by then.</summary>
    Refuse,

    /// <summary>The pause takes as long as it takes.</summary>
    Exceed,
}

/// <summary>How long the pause may be, as far as the memory is concerned.</summary>
/// <param name="MaxPause">From the first kick until the last participant runs again.</param>
/// <param name="ForMemory">What of it is there for the rest of the memory; the remainder goes to kicks, registers and wakes.</param>
/// <param name="Over">What happens where that is not enough.</param>
public sealed record PauseLimit(TimeSpan MaxPause, TimeSpan ForMemory, OverMaxPause Over);
