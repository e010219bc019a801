using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Actors.Restoring;

/// <summary>
/// A VM with nothing in it, for a machine of which nobody knows yet what it will be: KVM_CREATE_VM needs nothing of the checkpoint, and takes about
/// as long as reading its journal.
/// </summary>
internal sealed class EarlyVm : IAsyncDisposable
{
    // Who waits goes on here: there is nothing else to do on this thread.
    private readonly TaskCompletionSource<IVm> _created = new();
    private bool _isTaken;

    /// <param name="kvm">Where it is created, beside the caller.</param>
    /// <param name="threads">What that runs on.</param>
    public EarlyVm(IKvm kvm, IEngineThreads threads) => threads.Run(() =>
    {
        try
        {
            _created.SetResult(kvm.CreateVm());
        }
        catch (Exception failure)
        {
            _created.SetException(failure);
        }

        return Task.CompletedTask;
    });

    /// <summary>Gives the VM to the caller, who disposes of it; null where it has been taken before.</summary>
    /// <exception cref="KvmException">The kernel creates none.</exception>
    public async Task<IVm?> TakeAsync()
    {
        if (_isTaken)
            return null;
        _isTaken = true;
        return await _created.Task.ConfigureAwait(false);
    }

    /// <summary>Disposes of what nobody has taken; returns when it is gone.</summary>
    public async ValueTask DisposeAsync()
    {
        if (_isTaken)
            return;
        _isTaken = true;
        await ((Task)_created.Task).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        if (_created.Task.IsCompletedSuccessfully)
            (await _created.Task.ConfigureAwait(false)).Dispose();
    }
}
