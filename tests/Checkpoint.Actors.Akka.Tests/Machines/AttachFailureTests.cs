using Akka.Actor;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Akka.Participants;
using Checkpoint.Actors.Tests;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Tests.Machines;

/// <summary>An attachment whose actors cannot be made is answered, and its lock is given back.</summary>
public abstract class AttachFailureTests(string setting, string said) : ActorSystemTests(setting)
{
    [Fact]
    public async Task An_attachment_whose_actors_cannot_be_made_is_answered_and_its_lock_is_given_back()
    {
        for (var attempt = 0; attempt < 2; attempt++)
        {
            using var guest = Guest();
            var failure = await Assert.ThrowsAsync<StoreException>(() => AttachAsync(guest).WaitAsync(TimeSpan.FromSeconds(20)));
            Assert.Contains(said, failure.Message, StringComparison.OrdinalIgnoreCase);
            Extension.Engine.Store.Lock("a").Dispose();
        }
    }
}

public sealed class WrongJournalTests() : AttachFailureTests("checkpoint.journal-plugin-id = \"akka.persistence.journal.nope\"", "journal.nope");

public sealed class WrongSnapshotStoreTests() : AttachFailureTests("checkpoint.snapshot-plugin-id = \"akka.persistence.snapshot-store.nope\"", "snapshot-store.nope");

public sealed class EmptyJournalTests() : AttachFailureTests("akka.persistence.journal.plugin = \"\"", "journal");

public sealed class WrongDispatcherTests() : AttachFailureTests("checkpoint.dispatcher.type = Nope", "dispatcher");

public sealed class DeadEngineTests : ActorSystemTests
{
    [Fact]
    public async Task An_attachment_to_an_engine_whose_actor_has_ended_is_refused_and_its_lock_is_given_back()
    {
        Watch(Extension.Actor);
        Extension.Actor.Tell(Kill.Instance);
        await ExpectTerminatedAsync(Extension.Actor, Patience);
        using var guest = Guest();
        var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };
        var failure = await Assert.ThrowsAsync<StoreException>(() => Extension.Engine.AttachAsync("a", attachment).WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Contains("has ended", failure.Message, StringComparison.Ordinal);
        Extension.Engine.Store.Lock("a").Dispose();
    }
}

public sealed class DeviceNameTests : ActorSystemTests
{
    [Fact]
    public async Task Devices_whose_names_differ_in_a_space_alone_have_actors_of_their_own()
    {
        using var guest = Guest();
        var attached = await AttachAsync(guest, null, Extension.DeviceOf("disk a", CreateTestProbe()), Extension.DeviceOf("disk-a", CreateTestProbe()))
            .WaitAsync(TimeSpan.FromSeconds(20));
        Assert.NotEqual(ChildOf(attached.Machine, "device-disk-a-1"), ChildOf(attached.Machine, "device-disk-a-2"));
    }

    [Fact]
    public void A_device_without_an_actor_or_a_name_is_refused_where_it_is_made()
    {
        Assert.Throws<ArgumentNullException>("actor", () => Extension.DeviceOf("disk", null!));
        Assert.Throws<ArgumentNullException>("name", () => new ActorDevice(null!, TestActor, Patience));
    }
}

public sealed class SettingsOfTheActorSystemTests() : ActorSystemTests("checkpoint { stop-patience = 100ms, coordinator.keep = 2 }")
{
    [Fact]
    public async Task A_machine_attached_without_options_goes_by_those_of_the_actor_system()
    {
        using var guest = Guest();
        var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };
        var machine = (await Extension.Actor.Ask<MachineAttached>(new EngineCommand.AttachMachine("a", attachment), Patience)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        for (var number = 1; number <= 4; number++)
            await CommittedAsync(machine);
        var status = await machine.Ask<MachineStatus>(new MachineCommand.GetMachine(), Patience);
        Assert.Equal([3, 4], status.Live.AsEnumerable());
    }

    [Fact]
    public async Task A_stop_leaves_a_device_that_hangs_behind_after_the_patience_that_was_set()
    {
        using var hang = new ManualResetEventSlim();
        var device = new ProbeDevice
        {
            On = call =>
            {
                if (call == DeviceCall.Park)
                    hang.Wait(Patience);
            },
        };
        using var guest = Guest();
        var impatient = new Protocol.Coordination.CoordinatorOptions { ParkDeadline = TimeSpan.FromMilliseconds(200), ResumeDeadline = TimeSpan.FromMilliseconds(200) };
        var machine = (await AttachAsync(guest, impatient, device)).Machine;
        await TellAsync(machine, new MachineCommand.StartMachine());
        Assert.IsType<CheckpointOutcome.Aborted>(await TakeAsync(machine));
        var begun = System.Diagnostics.Stopwatch.GetTimestamp();
        await TellAsync(machine, new MachineCommand.StopMachine());
        hang.Set();
        Assert.True(System.Diagnostics.Stopwatch.GetElapsedTime(begun) < TimeSpan.FromSeconds(4), "it does not wait for 5 s");
    }
}
