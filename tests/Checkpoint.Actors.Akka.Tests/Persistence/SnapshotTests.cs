using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Journal;
using Microsoft.Data.Sqlite;

namespace Checkpoint.Actors.Akka.Tests.Persistence;

public sealed class SnapshotTests() : ActorSystemTests("checkpoint.events-per-snapshot = 5")
{
    [Fact]
    public async Task The_two_newest_snapshots_stay_and_the_built_in_host_recovers_from_them()
    {
        await TakeAsync(checkpoints: 23, untilOlderSnapshotsAreGone: true);
        await using var builtIn = CheckpointEngine.Open(Options);
        var snapshot = await builtIn.Store.Journal.LoadSnapshotAsync("a");
        Assert.Equal(Numbers()[^1], snapshot!.SequenceNumber);
        var recovered = await builtIn.Store.RecoverAsync("a");
        var whole = await EventStream.CatchUpAsync(builtIn.Store.Journal, "a", MachineHistory.Empty);
        Assert.Equal((whole.Head, whole.HighestNumber, whole.Current), (recovered.Head, recovered.HighestNumber, recovered.Current));
        Assert.Empty((await builtIn.Store.VerifyAsync()).Damages);
    }

    [Fact]
    public async Task The_actor_system_recovers_from_the_built_in_hosts_snapshot()
    {
        await TakeAsync(checkpoints: 3);
        await using (var builtIn = CheckpointEngine.Open(Options))
            await EventStream.SaveSnapshotAsync(builtIn.Store.Journal, "a", await builtIn.Store.RecoverAsync("a"));
        await TakeAsync(checkpoints: 2);
        Assert.Equal(5, (await Extension.Engine.Store.RecoverAsync("a")).HighestNumber);
    }

    [Fact]
    public async Task A_machine_that_begins_anew_leaves_no_snapshot_that_the_stream_does_not_say()
    {
        await TakeAsync(checkpoints: 8);
        await Eventually.IsTrueAsync(() => Numbers().Count > 0, "there is a snapshot");
        using (var guest = Guest())
        {
            var machine = (await AttachAsync(guest)).Machine;
            for (var i = 0; i < 6; i++)
                await TellAsync(machine, i % 2 == 0 ? new MachineCommand.PinCheckpoint(8) : new MachineCommand.UnpinCheckpoint(8));
            Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
            await TellAsync(machine, new MachineCommand.StopMachine());
        }

        Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
        var newest = Numbers()[^1];
        await TakeAsync(checkpoints: 1);
        await Eventually.IsTrueAsync(() => Numbers()[^1] > newest, "its first checkpoint brings the next");
        Assert.Empty((await Extension.Engine.Store.VerifyAsync()).Damages);
    }

    [Theory]
    [InlineData("UPDATE snapshot SET snapshot = zeroblob(100)")]
    [InlineData("UPDATE snapshot SET manifest = 'machine-history-v1'")]
    public async Task A_damaged_snapshot_is_passed_over(string damage)
    {
        await TakeAsync(checkpoints: 8);
        await Eventually.IsTrueAsync(() => Numbers().Count > 0, "there is a snapshot");
        Execute(damage);
        await TakeAsync(checkpoints: 1);
        Assert.Equal(9, (await Extension.Engine.Store.RecoverAsync("a")).HighestNumber);
    }

    private async Task TakeAsync(int checkpoints, bool untilOlderSnapshotsAreGone = false)
    {
        using var guest = Guest();
        var machine = (await AttachAsync(guest, Bench.Patient(keep: 3))).Machine;
        for (var i = 0; i < checkpoints; i++)
            await CommittedAsync(machine);
        if (untilOlderSnapshotsAreGone)
            await Eventually.IsTrueAsync(() => Numbers().Count == 2, "older snapshots go");
        await TellAsync(machine, new MachineCommand.StopMachine());
    }

    private List<long> Numbers()
    {
        using var connection = Open();
        using var command = connection.CreateCommand();
        command.CommandText = "SELECT sequence_number FROM snapshot ORDER BY 1";
        using var reader = command.ExecuteReader();
        var numbers = new List<long>();
        while (reader.Read())
            numbers.Add(reader.GetInt64(0));
        return numbers;
    }

    private void Execute(string sql)
    {
        using var connection = Open();
        using var command = connection.CreateCommand();
        command.CommandText = sql;
        Assert.NotEqual(0, command.ExecuteNonQuery());
    }

    private SqliteConnection Open()
    {
        var connection = new SqliteConnection("Data Source=" + Options.Uri!["sqlite:".Length..]);
        connection.Open();
        return connection;
    }
}
