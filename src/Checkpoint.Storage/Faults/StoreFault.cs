using System.ComponentModel;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Storage.Faults;

/// <summary>Takes injected faults of calls that can only wait or fail.</summary>
internal static class StoreFault
{
    /// <summary>What to fail with: the call is not to be made. Null: make it.</summary>
    /// <param name="faults">What is to go wrong.</param>
    /// <param name="site">The call.</param>
    /// <param name="cancellationToken">Ends a wait.</param>
    public static int? Take(FaultPlan faults, in FaultSite site, CancellationToken cancellationToken = default)
    {
        if (faults.Next(site) is not { } hit)
            return null;
        faults.Wait(hit, cancellationToken);
        return hit.Action is FaultAction.Fail fail ? fail.Errno : null;
    }

    /// <summary>What the system would say of it.</summary>
    public static string Describe(int errno) => $"{new Win32Exception(errno).Message} ({ErrorNumbers.NameOf(errno)}, injected)";
}

/// <summary>Injects faults where a machine's lock is taken.</summary>
internal static class LockFault
{
    /// <summary>Fails if that is due.</summary>
    /// <exception cref="StoreException">The lock cannot be taken.</exception>
    public static void Throw(FaultPlan? faults, string vm)
    {
        if (faults is not null && StoreFault.Take(faults, new FaultSite(FaultCalls.Lock, "lock") { Machine = vm }) is { } errno)
            throw new StoreException(StoreFailure.Unusable, $"the machine '{vm}' cannot be locked: {StoreFault.Describe(errno)}; check the folder");
    }
}
