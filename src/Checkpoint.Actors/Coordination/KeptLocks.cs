using System.Collections.Concurrent;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// Locks of machines whose last write may still land, and nobody can say when. They are kept until the process ends: whoever took
/// one next would sweep away the parts of an event that comes later.
/// </summary>
internal static class KeptLocks
{
    // A lock that nobody refers to would be given back by the garbage collector.
    private static readonly ConcurrentDictionary<IMachineLock, IMachineLock> s_kept = new();

    /// <summary>Keeps a lock for good.</summary>
    public static void Keep(IMachineLock held) => s_kept[held] = held;

    /// <summary>Gives a lock back, unless it is kept.</summary>
    public static void GiveBack(IMachineLock held)
    {
        if (!s_kept.ContainsKey(held))
            held.Dispose();
    }
}
