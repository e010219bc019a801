using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Actors.Restoring;

/// <summary>
/// A VM with nothing in it, for a machine of which nobody knows yet what it will be: KVM_CREATE_VM needs nothing of the checkpoint, and takes about
/// as long as reading its journal.
/// </summary>
/// <param name="kvm">Where it is created, beside the caller.</param>
/// <param name="threads">What that runs on.</param>
internal sealed class EarlyVm(IKvm kvm, IEngineThreads threads) : IAsyncDisposable
{
    private readonly Task<IVm> _created = threads.Beside(() => kvm.CreateVm());
    private bool _isTaken;

    /// <summary>Gives the VM to the caller, who disposes of it; null where it has been taken before.</summary>
    /// <exception cref="KvmException">The kernel creates none.</exception>
    public async Task<IVm?> TakeAsync()
    {
        if (_isTaken)
            return null;
        _isTaken = true;
        return await _created.ConfigureAwait(false);
    }

    /// <summary>Disposes of what nobody has taken; returns when it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isTaken)
            return;
        _isTaken = true;
        await ((Task)_created).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_created.IsCompletedSuccessfully)
            (await _created.ConfigureAwait(false)).Dispose();
    }
}
