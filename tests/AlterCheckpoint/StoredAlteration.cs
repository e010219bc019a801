using System.Security.Cryptography;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;
using Checkpoint.Storage.Journal;
using Checkpoint.Storage.Payloads;
using Checkpoint.Storage.Segments;

namespace Checkpoint.AlterCheckpoint;

/// <summary>Stores a checkpoint once more under another machine's name, with its digests right and its content altered.</summary>
public static class StoredAlteration
{
    private const int PieceBytes = 1 << 20;

    /// <summary>Copies a checkpoint; the copy is number 1 of a new machine.</summary>
    /// <param name="store">Where it is, and where the copy goes.</param>
    /// <param name="reference">The checkpoint, as <c>VM@latest</c> or <c>VM@12</c>.</param>
    /// <param name="name">The new machine's name.</param>
    /// <param name="alter">What the copy's state is.</param>
    /// <exception cref="StoreException">There is no such checkpoint, or the name is taken.</exception>
    public static async Task CopyAsync(CheckpointStore store, CheckpointReference reference, string name, Func<StateDocument, StateDocument> alter)
    {
        if (reference is not CheckpointReference.OfMachine machine)
            throw new FormatException("write the reference as VM@latest or VM@12");
        var found = machine.FindIn(await store.RecoverAsync(machine.Vm))
            ?? throw new StoreException(StoreFailure.NotFound, $"there is no checkpoint {reference}");
        using var held = store.Lock(name);
        if ((await store.RecoverAsync(name)).Registration is not null)
            throw new StoreException(StoreFailure.Unusable, $"there is a machine '{name}' already; use another name");

        var document = alter(await store.LoadAsync(machine.Vm, found));
        var bytes = StateDocumentCodec.Encode(document);
        var id = CheckpointId.Parse(Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(16)));
        var registered = new MachineEvent.MachineRegistered(
            name, document.Machine.Architecture, document.Machine.Vcpus.Length, (long)document.Machine.MemoryBytes, found.Id)
        { At = found.At };
        var committed = found with
        {
            Number = 1,
            Id = id,
            Parent = null,
            Label = "altered",
            State = new StoredPart(Digest.Of(bytes.Span), bytes.Length),
            Segment = found.Segment is null ? null : CopyMemory(store, machine.Vm, found, new SegmentIdentity(name, 1, id, found.Mode, null)),
        };
        var outcome = await store.Journal.AppendAsync(
            new JournalAppend(name, JournalHead.Empty, [registered, committed], new NewStateDocument(1, bytes), []));
        if (outcome is not AppendOutcome.Committed)
            throw new StoreException(StoreFailure.Unusable, $"the copy could not be stored: {outcome}");
    }

    private static SegmentPart CopyMemory(CheckpointStore store, string vm, MachineEvent.CheckpointCommitted found, SegmentIdentity identity)
    {
        using var segment = store.Segments.Open(vm, found);
        return store.Segments.Write(identity, Pages(segment));
    }

    private static IEnumerable<PageRun> Pages(SegmentReader segment)
    {
        foreach (var run in segment.Runs)
        {
            var end = run.GuestAddress + ((ulong)run.Pages * MemoryRegion.PageBytes);
            for (var address = run.GuestAddress; address < end; address += PieceBytes)
            {
                var piece = new byte[Math.Min(PieceBytes, end - address)];
                if (run.Content == PageContent.Data)
                    segment.Read(address, piece);
                yield return new PageRun(address, piece);
            }
        }
    }
}
