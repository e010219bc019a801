using System.Runtime.ExceptionServices;
using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Restoring;

/// <summary>Builds fresh machines from checkpoints; what is not exactly the checkpoint's is thrown away.</summary>
internal sealed class MachineRestorer(CheckpointStore store, CheckpointFinder finder, TimeProvider time, IEngineThreads threads)
{
    /// <param name="kvm">Where to build it.</param>
    /// <param name="early">A VM of that kernel, disposed of where it is not needed.</param>
    /// <param name="reference">The checkpoint.</param>
    /// <param name="options">How.</param>
    /// <param name="cancellationToken">Ends the attempt.</param>
    public async Task<RestoredMachine> RestoreAsync(
        IKvm kvm, EarlyVm early, CheckpointReference reference, RestoreOptions options, CancellationToken cancellationToken)
    {
        await using var _ = early.ConfigureAwait(false);
        return await finder.ReadAsync(reference, found => RestoreAsync(kvm, early, found, options, cancellationToken), cancellationToken).ConfigureAwait(false);
    }

    private async Task<RestoredMachine> RestoreAsync(
        IKvm kvm, EarlyVm early, FoundCheckpoint found, RestoreOptions options, CancellationToken cancellationToken)
    {
        // The indexes grow with the memory, and each is read and its digest taken.
        var opening = threads.Beside(() => StoredMemory.Open(store.Segments, found.Vm, found.History, found.Checkpoint, readsAll: true));
        try
        {
            return await RestoreAsync(kvm, early, found, opening, options, cancellationToken).ConfigureAwait(false);
        }
        catch
        {
            await ((Task)opening).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
            if (opening.IsCompletedSuccessfully)
                (await opening.ConfigureAwait(false)).Dispose();
            throw;
        }
    }

    private async Task<RestoredMachine> RestoreAsync(
        IKvm kvm, EarlyVm early, FoundCheckpoint found, Task<StoredMemory> opening, RestoreOptions options, CancellationToken cancellationToken)
    {
        var (vm, checkpoint, _) = found;
        var document = await store.LoadAsync(vm, checkpoint, cancellationToken).ConfigureAwait(false);
        var machine = Build(kvm, await early.TakeAsync().ConfigureAwait(false), $"{vm}@{checkpoint.Number}", document.Machine, options.Batching);
        var checking = threads.Beside(() => machine.CheckFeatures(document));
        try
        {
            var memory = await opening.ConfigureAwait(false);
            var isLazy = TryFillLazily(memory, machine.Memory, options.Fill, out var obstacle);
            if (isLazy)
            {
                Expect(machine, document);
            }
            else
            {
                using (memory)
                    MemoryFiller.Fill(memory, machine.Memory, options.Progress, cancellationToken);
            }

            var refused = await checking.ConfigureAwait(false);
            var report = machine.Restore(document, options.Clock, checkpoint.At, time.GetUtcNow(), options.Policy, refused);
            if (report.Refusals.Count > 0)
                throw new RestoreRefusedException($"{vm}@{checkpoint.Number}", report.Refusals);
            machine.Memory.Filling?.FillInBackground();
            return new RestoredMachine(machine, vm, checkpoint, document, options.Policy.Name, report.Leniences, DrawGeneration())
            {
                Fill = isLazy ? MemoryFill.Lazy : MemoryFill.Eager,
                FillObstacle = obstacle,
            };
        }
        catch (Exception) when (machine.Memory.Filling?.Failure is { InnerException: { } lost })
        {
            // What the kernel said of memory that it could not have is not why.
            await DisposeAfterAsync(checking, machine).ConfigureAwait(false);
            ExceptionDispatchInfo.Throw(lost);
            throw;
        }
        catch
        {
            await DisposeAfterAsync(checking, machine).ConfigureAwait(false);
            throw;
        }
    }

    private static async Task DisposeAfterAsync(Task checking, Machine machine)
    {
        await checking.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        machine.Dispose();
    }

    private static bool TryFillLazily(StoredMemory stored, IGuestMemory memory, MemoryFill fill, out string? obstacle)
    {
        obstacle = null;
        if (fill == MemoryFill.Eager || (fill == MemoryFill.Auto && !memory.PrefersLazyFill))
            return false;
        if (!stored.CanReadLazily)
            obstacle = "what is stored is compressed";
        else if (memory.TryFillLazily(new StoredPages(stored), out obstacle))
            return true;
        return fill == MemoryFill.Auto ? false : throw new LazyFillRefusedException(obstacle);
    }

    // Beside the setting of the registers, which takes about as long.
    private void Expect(Machine machine, StateDocument document)
    {
        if (machine.FirstTouched(document) is not { } first || machine.Memory.Filling is not { } filling)
            return;
        threads.Run(() =>
        {
            filling.Expect(first);
            return Task.CompletedTask;
        });
    }

    private Guid DrawGeneration()
    {
        Span<byte> random = stackalloc byte[16];
        threads.FillRandom(random);
        return new Guid(random);
    }

    // What the kernel does not even build is named as what it builds and does not take.
    private static Machine Build(IKvm kvm, IVm? vm, string checkpoint, MachineDescription description, RegisterBatching? batching)
    {
        try
        {
            return MachineBuilder.Create(kvm, description, batching, vm);
        }
        catch (Exception failure) when (MachineBuilder.RefusalsBehind(kvm, description, failure) is { Count: > 0 } refusals)
        {
            throw new RestoreRefusedException(checkpoint, refusals);
        }
    }
}
