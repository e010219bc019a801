using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests.Coordination;

/// <summary>
/// What the engine's threads can say when nobody asks any more: the copy of a large memory ends long after a device has
/// aborted the round and all others run again.
/// </summary>
public sealed class LateReportTests
{
    private static readonly Participant s_vcpu = new(0, ParticipantKind.Vcpu, "vcpu 0");
    private static readonly Participant s_device = new(1, ParticipantKind.Device, "device probe");
    private static readonly Participant s_machine = new(2, ParticipantKind.Machine, "machine");
    private static readonly Moment s_now = new(1, DateTimeOffset.UnixEpoch);

    [Fact]
    public void A_capture_that_ends_while_the_abort_is_being_appended_changes_nothing()
    {
        var coordinator = new Coordinator(Registered(), [s_vcpu, s_device, s_machine], new CoordinatorOptions());
        var effects = new List<CoordinatorEffect>();
        coordinator.Handle(new CoordinatorInput.BeginCheckpoint(1, default, CheckpointTrigger.Request, null), s_now, effects);
        var round = effects.OfType<CoordinatorEffect.PrepareParticipant>().First().Round;
        coordinator.Handle(new CoordinatorInput.ParticipantPrepared(round, s_machine.Index), s_now, effects);
        coordinator.Handle(new CoordinatorInput.ParticipantParked(round, s_vcpu.Index), s_now, effects);
        coordinator.Handle(new CoordinatorInput.ParticipantParked(round, s_device.Index), s_now, effects);
        Assert.Equal(RoundPhase.Capturing, coordinator.Phase);
        coordinator.Handle(new CoordinatorInput.ParticipantFailed(round, s_device.Index, new ParticipantFailure("no")), s_now, effects);
        coordinator.Handle(new CoordinatorInput.ParticipantResumed(round, s_vcpu.Index), s_now, effects);
        coordinator.Handle(new CoordinatorInput.ParticipantResumed(round, s_device.Index), s_now, effects);
        Assert.Equal(RoundPhase.Appending, coordinator.Phase);
        effects.Clear();

        coordinator.Handle(new CoordinatorInput.ParticipantCaptured(round, s_machine.Index), s_now, effects);
        Assert.Empty(effects);
        Assert.Equal(RoundPhase.Appending, coordinator.Phase);
    }

    private static MachineHistory Registered() => MachineHistory.Empty.Evolve(
        new MachineEvent.MachineRegistered("a", MachineArchitecture.X64, 1, 1 << 20, null) { At = DateTimeOffset.UnixEpoch },
        new JournalHead(1, Digest.Zero));
}
