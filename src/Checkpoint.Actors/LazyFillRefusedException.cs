namespace Checkpoint.Actors;

/// <summary>Memory was to come in lazily, and cannot here.</summary>
/// <param name="obstacle">Why not.</param>
public sealed class LazyFillRefusedException(string obstacle)
    : Exception($"memory cannot come in while the guest runs: {obstacle}; leave the choice open, or fill it eagerly");
