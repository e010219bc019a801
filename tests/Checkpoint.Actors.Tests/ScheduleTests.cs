using System.Collections.Concurrent;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Tests;

[Collection(GuestCollection.Name)]
public sealed class ScheduleTests
{
    private static readonly TimeSpan s_interval = TimeSpan.FromSeconds(1);

    [KvmFact]
    public async Task Each_turn_takes_one_checkpoint_and_none_comes_after_the_stop()
    {
        var time = new ManualTime();
        await using var bench = Bench.Open(time: time);
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest);
        var rounds = new ConcurrentQueue<CheckpointOutcome>();
        machine.RoundEnded += (_, outcome) => rounds.Enqueue(outcome);
        machine.Start();
        machine.CheckpointEvery(s_interval);
        for (var turn = 1; turn <= 5; turn++)
        {
            // A round is told of before the schedule waits for the next turn.
            await Eventually.IsTrueAsync(() => time.IsSomethingDueWithin(s_interval), $"the schedule waits for turn {turn}");
            time.Advance(s_interval);
            await Eventually.IsTrueAsync(() => rounds.Count == turn, $"round {turn} ends");
        }

        Assert.All(rounds, outcome => Assert.Equal(CheckpointTrigger.Schedule, Assert.IsType<CheckpointOutcome.Committed>(outcome).Checkpoint.Trigger));
        await machine.StopAsync();
        time.Advance(s_interval * 3);
        await Task.Delay(50);
        Assert.Equal(5, rounds.Count);
        Assert.Equal(5, (await bench.EventsAsync()).OfType<MachineEvent.CheckpointCommitted>().Count());
    }

    [KvmFact]
    public async Task A_turn_that_falls_into_a_round_under_way_is_skipped_and_not_made_up_for()
    {
        var time = new ManualTime();
        await using var bench = Bench.Open(time: time);
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Capture) hang.Enter(); } };
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, devices: [device]);
        var ended = 0;
        machine.RoundEnded += (_, _) => Interlocked.Increment(ref ended);
        machine.Start();
        machine.CheckpointEvery(s_interval);
        time.Advance(s_interval);
        await hang.Begun;
        time.Advance(s_interval);
        time.Advance(s_interval);
        time.Advance(s_interval / 2);
        hang.End();
        await Eventually.IsTrueAsync(() => Volatile.Read(ref ended) >= 1, "the first round ends");

        // Half an interval is left until the next turn: nothing begins before it.
        await Task.Delay(200);
        Assert.Equal(1, Volatile.Read(ref ended));
        time.Advance(s_interval / 2);
        await Eventually.IsTrueAsync(() => Volatile.Read(ref ended) == 2, "the next turn's round ends");
    }

    [KvmFact]
    public async Task A_schedule_by_the_hosts_clock_takes_no_more_rounds_than_there_were_turns()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest, Bench.Patient(keep: 2));
        var rounds = 0;
        machine.RoundEnded += (_, outcome) => rounds += outcome is CheckpointOutcome.Committed ? 1 : 0;
        machine.Start();
        var begun = TimeProvider.System.GetTimestamp();
        machine.CheckpointEvery(TimeSpan.FromMilliseconds(50));
        Assert.Throws<InvalidOperationException>(() => machine.CheckpointEvery(TimeSpan.FromMilliseconds(50)));
        await Eventually.IsTrueAsync(() => Volatile.Read(ref rounds) >= 6, "six rounds end");
        await machine.StopAsync();
        var turns = TimeProvider.System.GetElapsedTime(begun).TotalMilliseconds / 50;
        // A loaded host may miss many turns; none is made up for.
        Assert.InRange(rounds, 6, turns);
    }

    [KvmFact]
    public async Task Every_round_of_a_schedule_is_told_of_before_the_next_one_begins()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest();
        await using var machine = await bench.AttachAsync(guest);
        var told = new ConcurrentQueue<long>();
        machine.RoundEnded += (_, outcome) => told.Enqueue(((CheckpointOutcome.Committed)outcome).Checkpoint.Number);
        machine.Start();
        machine.CheckpointEvery(TimeSpan.FromMilliseconds(1));
        await Eventually.IsTrueAsync(() => told.Count >= 10, "ten rounds end");
        await machine.StopAsync();
        Assert.Equal(Enumerable.Range(1, told.Count).Select(number => (long)number), told);
        Assert.Equal(told.Count, (await bench.Engine.Store.RecoverAsync(Bench.Vm)).HighestNumber);
    }
}
