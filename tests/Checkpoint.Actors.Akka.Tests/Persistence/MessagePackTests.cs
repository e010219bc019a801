using System.Security.Cryptography;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Persistence;
using Checkpoint.Protocol.Events;
using MessagePack;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

/// <summary>MessagePack-CSharp, with contracts written from docs/FORMAT.md alone, reads what is stored, and writes the same bytes again.</summary>
public sealed class MessagePackTests() : ActorSystemTests("checkpoint.events-per-snapshot = 4")
{
    [Fact]
    public void It_reads_and_writes_every_kind_of_event()
    {
        foreach (var chained in ChainedEvent.Chain(JournalHead.Empty, Samples.All))
        {
            var read = AssertSame(Contracts.ByManifest[chained.Manifest], chained.ToBytes());
            if (read is Contracts.Committed committed)
            {
                Assert.Equal("before the upgrade", committed.Label);
                Assert.Equal(Samples.At.UtcDateTime, committed.At);
                Assert.Equal(Samples.Committed.Timings.CaptureUs, committed.Timings.CaptureUs);
                Assert.Equal(Samples.Committed.Segment!.Name, committed.Segment!.Name);
            }
        }
    }

    [Fact]
    public async Task It_reads_and_writes_every_payload_of_a_store_that_the_actor_system_wrote()
    {
        using var guest = Guest(vcpus: 2);
        var machine = (await AttachAsync(guest, Actors.Tests.Bench.Patient(keep: 3))).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        for (var number = 1; number <= 6; number++)
            await CommittedAsync(machine, $"number {number}");
        await TellAsync(machine, new MachineCommand.PinCheckpoint(5));
        await TellAsync(machine, new MachineCommand.UnpinCheckpoint(5));
        await TellAsync(machine, new MachineCommand.StopMachine());

        var events = 0;
        var previous = new byte[32];
        foreach (var (manifest, bytes) in Rows("SELECT manifest, message FROM journal ORDER BY ordering"))
        {
            dynamic read = AssertSame(Contracts.ByManifest[manifest], bytes);
            Assert.Equal(previous, (byte[])read.Previous);
            previous = SHA256.HashData(bytes);
            events++;
        }

        // A registration, six commits of which three pruned, a pin and an unpin.
        Assert.Equal(1 + 6 + 3 + 2, events);
        var snapshots = Rows("SELECT manifest, snapshot FROM snapshot");
        Assert.NotEmpty(snapshots);
        foreach (var (manifest, bytes) in snapshots)
        {
            var snapshot = (Contracts.Snapshot)AssertSame(Contracts.ByManifest[manifest], bytes);
            Assert.Equal(SHA256.HashData(snapshot.Content), snapshot.Digest);
            Assert.Equal("a", MessagePackSerializer.Deserialize<Contracts.SnapshotContent>(snapshot.Content).Vm);
        }

        var documents = Rows("SELECT 'state', document FROM state_document");
        Assert.Equal(3, documents.Count);
        foreach (var (_, bytes) in documents)
        {
            var document = (Contracts.StateDocument)AssertSame(typeof(Contracts.StateDocument), bytes);
            Assert.Equal((1, 2, 2), (document.Version, document.Vcpus.Length, document.Machine.Vcpus.Length));
            Assert.All(document.Vcpus, vcpu => Assert.NotEmpty(vcpu));
        }
    }

    private static object AssertSame(Type contract, byte[] bytes)
    {
        var read = MessagePackSerializer.Deserialize(contract, bytes)!;
        Assert.Equal(Convert.ToHexString(bytes), Convert.ToHexString(MessagePackSerializer.Serialize(contract, read)));
        return read;
    }

    private List<(string Manifest, byte[] Bytes)> Rows(string sql)
    {
        using var connection = new SqliteConnection("Data Source=" + Options.Uri!["sqlite:".Length..]);
        connection.Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        using var reader = command.ExecuteReader();
        var rows = new List<(string, byte[])>();
        while (reader.Read())
            rows.Add((reader.GetString(0), reader.GetFieldValue<byte[]>(1)));
        return rows;
    }
}
