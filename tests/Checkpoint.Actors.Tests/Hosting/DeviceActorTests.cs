using System.Collections.Concurrent;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Tests.Hosting;

public sealed class DeviceActorTests
{
    private static readonly Participant s_participant = new(5, ParticipantKind.Device, "device probe");

    [Fact]
    public async Task Each_report_carries_the_round_of_the_order_that_it_answers()
    {
        using var hang = new Hang();
        var device = new ProbeDevice { On = call => { if (call == DeviceCall.Resume) hang.Enter(); } };
        var heard = new Listener();
        var actor = new DeviceActor(s_participant, device, heard);
        actor.Start();

        // A device that hangs in its resume, a round that gave up on it, and the next one, which waits for its park: were
        // the park of the round given up taken for that of the next, memory would be captured while the device runs.
        actor.Tell(new CoordinatorEffect.ResumeParticipant(new RoundId(1), 5));
        await hang.Begun;
        actor.Tell(new CoordinatorEffect.ParkParticipant(new RoundId(2), 5));
        actor.Tell(new CoordinatorEffect.ResumeParticipant(new RoundId(2), 5));
        actor.Tell(new CoordinatorEffect.ParkParticipant(new RoundId(3), 5));
        hang.End();
        actor.Stop();
        await actor.Ended.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(
            [
                new CoordinatorInput.ParticipantResumed(new RoundId(1), 5),
                new CoordinatorInput.ParticipantParked(new RoundId(2), 5),
                new CoordinatorInput.ParticipantResumed(new RoundId(2), 5),
                new CoordinatorInput.ParticipantParked(new RoundId(3), 5),
            ],
            heard.Reports);
    }

    [Fact]
    public async Task What_a_device_throws_is_told_with_the_round_and_the_order_and_the_device_is_asked_again()
    {
        var device = new ProbeDevice { On = call => throw new InvalidOperationException($"{call}!") };
        var heard = new Listener();
        var actor = new DeviceActor(s_participant, device, heard);
        actor.Start();
        actor.Tell(new CoordinatorEffect.ParkParticipant(new RoundId(1), 5));
        actor.Tell(new CoordinatorEffect.CaptureParticipant(new RoundId(1), 5));
        actor.Tell(new CoordinatorEffect.ResumeParticipant(new RoundId(1), 5));
        actor.Stop();
        await actor.Ended.WaitAsync(TimeSpan.FromSeconds(30));

        Assert.Equal(
            [
                new CoordinatorInput.ParticipantFailed(new RoundId(1), 5, new ParticipantFailure("could not park: Park!")),
                new CoordinatorInput.ParticipantFailed(new RoundId(1), 5, new ParticipantFailure("could not be captured: Capture!")),
                new CoordinatorInput.ParticipantFailed(new RoundId(1), 5, new ParticipantFailure("could not resume: Resume!")),
            ],
            heard.Reports);
    }

    private sealed class Listener : IParticipantListener
    {
        public ConcurrentQueue<CoordinatorInput> Reports { get; } = [];

        public void Hear(CoordinatorInput report) => Reports.Enqueue(report);
    }
}
