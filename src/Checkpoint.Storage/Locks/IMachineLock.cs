namespace Checkpoint.Storage.Locks;

/// <summary>
/// The right to write one machine's stream and parts. There is one holder at a time; disposing gives it back, and so does the
/// end of the process, however it ends.
/// </summary>
public interface IMachineLock : IDisposable
{
    /// <summary>The machine.</summary>
    string Vm { get; }

    /// <summary>Whether it has not been given back.</summary>
    bool IsHeld { get; }
}

/// <summary>The question that comes before each deletion.</summary>
internal static class MachineLocks
{
    /// <summary>Deleting without the lock could take parts from under another process: that would be our own bug.</summary>
    public static void Check(IMachineLock held)
    {
        if (!held.IsHeld)
            throw new InvalidOperationException($"The lock of the machine '{held.Vm}' has been given back.");
    }
}
