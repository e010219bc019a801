namespace Checkpoint.MemoryLedger;

/// <summary>Something that was restored is not what was taken.</summary>
/// <param name="what">What, and where.</param>
internal sealed class DifferenceException(string what) : Exception(what)
{
}
