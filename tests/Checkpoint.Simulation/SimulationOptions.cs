namespace Checkpoint.Simulation;

/// <summary>What may go wrong.</summary>
internal enum SimulationMode
{
    /// <summary>Nothing.</summary>
    Plain,

    /// <summary>Everything, at any time.</summary>
    Safety,

    /// <summary>Everything for a while; then what is broken stays so and nothing new breaks.</summary>
    Liveness,
}

/// <summary>What a history is like.</summary>
/// <param name="Mode">What may go wrong.</param>
/// <param name="Rounds">At least so many rounds for each machine.</param>
/// <param name="KeepsHistory">Whether it is written down.</param>
internal sealed record SimulationOptions(SimulationMode Mode = SimulationMode.Safety, int Rounds = 5, bool KeepsHistory = false);
