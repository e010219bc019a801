namespace Checkpoint.Actors.Tests;

/// <summary>The tests that run guests: one after another, so that those that look at time do not fight for the processors.</summary>
[CollectionDefinition(Name, DisableParallelization = true)]
public sealed class GuestCollection
{
    public const string Name = "guests";
}
