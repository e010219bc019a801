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
    public Task<RestoredMachine> RestoreAsync(
        IKvm kvm,
        CheckpointReference reference,
        RegisterPolicy policy,
        ClockPolicy clock,
        RegisterBatching? batching,
        CancellationToken cancellationToken) =>
        finder.ReadAsync(reference, found => RestoreAsync(kvm, found, policy, clock, batching, cancellationToken), cancellationToken);

    private async Task<RestoredMachine> RestoreAsync(
        IKvm kvm,
        FoundCheckpoint found,
        RegisterPolicy policy,
        ClockPolicy clock,
        RegisterBatching? batching,
        CancellationToken cancellationToken)
    {
        var (vm, checkpoint, history) = found;
        var document = await store.LoadAsync(vm, checkpoint, cancellationToken).ConfigureAwait(false);
        var machine = Build(kvm, $"{vm}@{checkpoint.Number}", document.Machine, batching);
        try
        {
            using (var memory = StoredMemory.Open(store.Segments, vm, history, checkpoint))
                MemoryFiller.Fill(memory, machine.Memory, cancellationToken);
            var report = machine.Restore(document, clock, checkpoint.At, time.GetUtcNow(), policy);
            if (report.Refusals.Count > 0)
                throw new RestoreRefusedException($"{vm}@{checkpoint.Number}", report.Refusals);
            return new RestoredMachine(machine, vm, checkpoint, document, policy.Name, report.Leniences, DrawGeneration());
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    private Guid DrawGeneration()
    {
        Span<byte> random = stackalloc byte[16];
        threads.FillRandom(random);
        return new Guid(random);
    }

    // What the kernel does not even build is named as what it builds and does not take.
    private static Machine Build(IKvm kvm, string checkpoint, MachineDescription description, RegisterBatching? batching)
    {
        try
        {
            return MachineBuilder.Create(kvm, description, batching);
        }
        catch (Exception failure) when (MachineBuilder.RefusalsBehind(kvm, description, failure) is { Count: > 0 } refusals)
        {
            throw new RestoreRefusedException(checkpoint, refusals);
        }
    }
}
