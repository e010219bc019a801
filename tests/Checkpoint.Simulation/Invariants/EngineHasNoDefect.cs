namespace Checkpoint.Simulation.Invariants;

/// <summary>What the engine throws.</summary>
internal sealed class EngineHasNoDefect(World world) : Invariant(world)
{
    public override string Law => "the engine throws what it documents and nothing else";

    public void OnThrown(string where, Exception failure) => Break($"{where} threw {failure.GetType().Name}: {failure.Message}\n{failure.StackTrace}");
}
