using Checkpoint.Protocol.Coordination;
using static Checkpoint.Protocol.Coordination.RoundPhase;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class StopTests : CoordinatorLaws
{
    private const string Stopping = "refused (the machine's coordinator has stopped)";

    [Fact]
    public void An_idle_coordinator_stops_at_once_and_refuses_from_then_on() =>
        Given().Stop().Then("reply 1: done []").In(Stopped)
            .Begin().Then("reply 2: " + Stopping)
            .Pin(1).Then("reply 3: " + Stopping)
            .Unpin(1).Then("reply 4: " + Stopping)
            .Prune(1).Then("reply 5: " + Stopping)
            .Stop().Then("reply 6: " + Stopping)
            .RecordRestore(Streams.Restored("web", 1, false)).Then("reply 7: " + Stopping).In(Stopped);

    [Fact]
    public void A_stop_in_a_round_is_answered_when_the_round_has_ended() =>
        Given(vcpus: 2).Begin().Stop().ThenNothing()
            .Parked("vcpu 0", "vcpu 1").AllAreCaptured().AllRun().Stored().Then("append Committed 1 after none")
            .Appended().Then("reply 1: committed 1", "reply 2: done []").In(Stopped);

    [Fact]
    public void A_stop_in_a_round_that_is_given_up_is_answered_after_the_abort() =>
        Given(vcpus: 1).Begin().Stop().Failed("vcpu 0", "hangs").AllRun()
            .Appended().Then("reply 1: aborted (vcpu 0 hangs)", "reply 2: done []").In(Stopped);

    [Fact]
    public void Nothing_new_is_taken_once_a_stop_waits() =>
        Given().Begin().Stop()
            .Begin().Then("reply 3: " + Stopping)
            .Pin(1).Then("reply 4: " + Stopping)
            .Stop().Then("reply 5: " + Stopping);

    [Fact]
    public void Who_waited_before_the_stop_is_served_before_it() =>
        Given(history: Streams.Of(Streams.Full(1))).Begin().Pin(1).Unpin(1).Stop()
            .Failed("vcpu 0", "hangs").AllRun()
            .Appended().Then("reply 1: aborted (vcpu 0 hangs)", "append Pinned 1").In(Appending)
            .Appended().Then("reply 2: done [1]", "append Unpinned 1")
            .Appended().Then("reply 3: done [1]", "reply 4: done []").In(Stopped);

    [Fact]
    public void A_stop_during_an_append_waits_for_its_end()
    {
        Given().UpToTheAppend().Stop().ThenNothing().Appended().Then("reply 1: committed 1", "reply 2: done []").In(Stopped);
        Given(history: Streams.Of(Streams.Full(1))).Pin(1).Stop().ThenNothing()
            .AppendEnds(new AppendResult.Refused("disk full"))
            .Then("reply 1: refused (the journal refused to write: disk full)", "reply 2: done []").In(Stopped);
    }

    [Fact]
    public void A_stop_during_a_recovery_waits_for_its_end() =>
        Given().UpToTheAppend().AppendIsLost().Stop().ThenNothing().In(Recovering)
            .RecoveredWritten().Then("reply 1: committed 1", "reply 2: done []").In(Stopped);

    [Fact]
    public void A_checkpoint_that_waited_behind_a_pin_is_taken_before_the_stop() =>
        Given(vcpus: 1, history: Streams.Of(Streams.Full(1))).Pin(1).Begin().Stop()
            .Appended().ThenAmongOthers("prepare machine Full").Prepared().ThenAmongOthers("park vcpu 0").In(ParkingVcpus)
            .Parked("vcpu 0").AllAreCaptured().AllRun().Stored()
            .Appended().Then("reply 2: committed 2", "reply 3: done []").In(Stopped);

    [Fact]
    public void Reports_to_a_stopped_coordinator_say_nothing() =>
        Given().TakesACheckpoint().Stop()
            .Resumed("vcpu 0").ThenNothing()
            .Gone("vcpu 0", "was stopped").ThenNothing()
            .Deadline(Storing).ThenNothing().In(Stopped);
}
