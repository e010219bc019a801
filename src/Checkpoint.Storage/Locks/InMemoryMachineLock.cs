using Checkpoint.Storage.Journal.InMemory;

namespace Checkpoint.Storage.Locks;

/// <summary>The lock of a machine whose store is gone with the process anyway.</summary>
public sealed class InMemoryMachineLock : IMachineLock
{
    private readonly InMemoryDatabase _database;
    private bool _released;

    private InMemoryMachineLock(InMemoryDatabase database, string vm)
    {
        _database = database;
        Vm = vm;
    }

    /// <inheritdoc/>
    public string Vm { get; }

    /// <inheritdoc/>
    public bool IsHeld
    {
        get
        {
            lock (_database.Gate)
                return !_released;
        }
    }

    /// <summary>Takes the lock of a machine.</summary>
    /// <exception cref="StoreException">Somebody else holds it.</exception>
    /// <exception cref="ArgumentException">The name is not valid.</exception>
    public static InMemoryMachineLock Acquire(InMemoryDatabase database, string vm)
    {
        MachineNames.Check(vm);
        lock (database.Gate)
        {
            return database.Held.Add(vm)
                ? new InMemoryMachineLock(database, vm)
                : throw new StoreException(StoreFailure.Held, $"the machine '{vm}' is held by process {Environment.ProcessId}, this one; stop it first");
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        lock (_database.Gate)
        {
            if (_released)
                return;
            _released = true;
            _database.Held.Remove(Vm);
        }
    }
}
