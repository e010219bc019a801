using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Tests;

/// <summary>What is missing is told of where it is missing, before anything is locked or runs.</summary>
public sealed class AttachmentArgumentTests : IDisposable
{
    private readonly SimulatedKvm _kvm = new();
    private readonly GuestMachine _guest;

    public AttachmentArgumentTests() => _guest = GuestMachine.Create(_kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1 });

    [Fact]
    public async Task An_attachment_that_is_missing_leaves_the_machine_free()
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        await Assert.ThrowsAsync<ArgumentNullException>("attachment", () => bench.Engine.AttachAsync("a", null!));
        await Assert.ThrowsAsync<ArgumentNullException>("vm", () => bench.Engine.AttachAsync(null!, new MachineAttachment(_guest.Machine, _guest)));
        await Assert.ThrowsAsync<ArgumentNullException>("kvm", () => bench.Engine.RestoreAsync(null!, new Protocol.History.CheckpointReference.Latest("a")));
        await Assert.ThrowsAsync<ArgumentNullException>("reference", () => bench.Engine.RestoreAsync(_kvm, null!));
        bench.Engine.Store.Lock("a").Dispose();
    }

    [Fact]
    public void An_attachment_lacks_nothing()
    {
        Assert.Throws<ArgumentNullException>("machine", () => new MachineAttachment(null!, _guest));
        Assert.Throws<ArgumentNullException>("exitHandler", () => new MachineAttachment(_guest.Machine, null!));
        Assert.Throws<ArgumentNullException>("devices", () => new MachineAttachment(_guest.Machine, _guest) { Devices = null! });
        Assert.Contains("Devices[1]", Assert.Throws<ArgumentException>("devices", () => new MachineAttachment(_guest.Machine, _guest) { Devices = [new GuestDevice(_guest), null!] }).Message, StringComparison.Ordinal);
        Assert.Contains("Devices[0]", Assert.Throws<ArgumentException>("devices", () => new MachineAttachment(_guest.Machine, _guest) { Devices = [new ProbeDevice(null!)] }).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentNullException>("Buffer", () => new MachineAttachment(_guest.Machine, _guest) { Buffer = null! });
    }

    [Theory]
    [InlineData(0)]
    [InlineData(-1)]
    [InlineData(367L * 24 * 60 * 60 * 1000)]
    public async Task An_interval_that_no_schedule_can_keep_is_refused_by_its_name(long milliseconds)
    {
        await using var bench = Bench.Open(host: new SimulatedKvm());
        await using var machine = await bench.Engine.AttachAsync("a", new MachineAttachment(_guest.Machine, _guest));
        var refused = Assert.Throws<OptionOutOfRangeException>(() => machine.CheckpointEvery(TimeSpan.FromMilliseconds(milliseconds)));
        Assert.StartsWith("interval = ", refused.Message, StringComparison.Ordinal);
        Assert.EndsWith(": write a duration from 1ms to 366d", refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_schedule_longer_than_any_timer_waits_takes_its_turn_when_it_has_come()
    {
        var time = new ManualTime();
        await using var bench = Bench.Open(time: time, host: new SimulatedKvm());
        await using var machine = await bench.Engine.AttachAsync("a", new MachineAttachment(_guest.Machine, _guest) { Options = Bench.Patient() });
        var rounds = 0;
        machine.RoundEnded += (_, _) => Interlocked.Increment(ref rounds);
        machine.Start();
        machine.CheckpointEvery(TimeSpan.FromDays(60));
        for (var day = 1; day <= 60; day++)
        {
            Assert.Equal(0, Volatile.Read(ref rounds));
            await Eventually.IsTrueAsync(() => time.IsSomethingDueWithin(TimeSpan.FromDays(1)), $"the schedule waits on day {day}");
            time.Advance(TimeSpan.FromDays(1));
        }

        await Eventually.IsTrueAsync(() => Volatile.Read(ref rounds) == 1, "the round of day 60 ends");
        Assert.False(machine.ParticipantEnded.IsCompleted);
        await machine.StopAsync();
        Assert.Throws<InvalidOperationException>(() => machine.CheckpointEvery(TimeSpan.FromDays(60)));
    }

    public void Dispose()
    {
        _guest.Dispose();
        _kvm.Dispose();
    }
}
