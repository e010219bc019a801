using System.Collections.Concurrent;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// Locks of machines whose last write may still land: whoever took one next would sweep away the parts of an event that comes later. They are
/// kept until that write has ended; where nobody can say when that is, until the process ends.
/// </summary>
internal static class KeptLocks
{
    // A lock that nobody refers to would be given back by the garbage collector.
    private static readonly ConcurrentDictionary<IMachineLock, IMachineLock> s_kept = new();

    /// <summary>Keeps a lock.</summary>
    /// <param name="held">The lock.</param>
    /// <param name="lastWrite">Ends when nothing of the machine is being written any more; null where nobody can say: then it is kept for good.</param>
    public static void Keep(IMachineLock held, Task? lastWrite = null)
    {
        s_kept[held] = held;
        if (lastWrite is not null)
            _ = GiveBackAfterAsync(held, lastWrite);
    }

    /// <summary>Gives a lock back, unless it is kept.</summary>
    public static void GiveBack(IMachineLock held)
    {
        if (!s_kept.ContainsKey(held))
            held.Dispose();
    }

    private static async Task GiveBackAfterAsync(IMachineLock held, Task lastWrite)
    {
        try
        {
            await lastWrite.ConfigureAwait(false);
        }
        catch (Exception)
        {
            // It has ended all the same; whoever waits for the machine hears how.
        }

        if (s_kept.TryRemove(held, out _))
            held.Dispose();
    }
}
