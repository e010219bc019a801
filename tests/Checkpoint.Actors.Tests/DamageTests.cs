using Checkpoint.Storage;
using Checkpoint.Storage.Journal;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class DamageTests
{
    [KvmTheory]
    [InlineData(0.0)]
    [InlineData(0.25)]
    [InlineData(0.5)]
    [InlineData(0.75)]
    [InlineData(0.999)]
    public async Task A_segment_with_one_changed_byte_is_not_restored_and_no_vm_is_left(double place)
    {
        await using var bench = await StoredAsync();
        var path = Path.Combine(bench.MachineFolder, Assert.Single(bench.SegmentFiles));
        var bytes = await File.ReadAllBytesAsync(path);
        bytes[(int)(bytes.Length * place)] ^= 0x10;
        await File.WriteAllBytesAsync(path, bytes);
        await AssertRefusedAsync(bench, "segment");
    }

    [KvmFact]
    public async Task A_segment_that_lacks_its_end_or_is_gone_is_not_restored_and_no_vm_is_left()
    {
        await using var bench = await StoredAsync();
        var path = Path.Combine(bench.MachineFolder, Assert.Single(bench.SegmentFiles));
        var bytes = await File.ReadAllBytesAsync(path);
        await File.WriteAllBytesAsync(path, bytes[..^1]);
        await AssertRefusedAsync(bench, "segment");
        File.Delete(path);
        await AssertRefusedAsync(bench, "segment");
        await File.WriteAllBytesAsync(path, bytes);
        await bench.RestoreAndRunOnAsync(1);
    }

    [KvmFact]
    public async Task A_state_document_with_one_changed_byte_or_none_is_not_restored_and_no_vm_is_left()
    {
        await using var bench = await StoredAsync();
        var store = bench.Engine.Store;
        var document = (await store.Journal.ReadStateDocumentAsync(Bench.Vm, 1))!.Value.ToArray();
        document[document.Length / 2] ^= 1;
        var head = (await store.RecoverAsync(Bench.Vm)).Head;
        await store.Journal.AppendAsync(new JournalAppend(Bench.Vm, head, [], new NewStateDocument(1, document), []));
        await AssertRefusedAsync(bench, "state document");
        await store.Journal.AppendAsync(new JournalAppend(Bench.Vm, head, [], null, [1]));
        await AssertRefusedAsync(bench, "state document");
    }

    private static async Task<Bench> StoredAsync()
    {
        var bench = Bench.Open();
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest);
        machine.Start();
        await Bench.CommittedAsync(machine);
        return bench;
    }

    private static async Task AssertRefusedAsync(Bench bench, string part)
    {
        var before = OwnThreads.Fds(bench.MachineFolder);
        var damage = await Assert.ThrowsAsync<IntegrityException>(() => bench.RestoreAsync(1, fill: MemoryFill.Eager));
        Assert.StartsWith(part, damage.Part, StringComparison.Ordinal);
        Assert.Equal((Bench.Vm, (long?)1), (damage.Vm, damage.Checkpoint));
        Assert.Equal(before, OwnThreads.Fds(bench.MachineFolder));
    }
}
