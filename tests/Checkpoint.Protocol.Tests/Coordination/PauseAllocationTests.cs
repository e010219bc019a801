using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Coordination;

public sealed class PauseAllocationTests
{
    private const int Vcpus = 64;
    private const int Devices = 8;
    private const int WarmUpRounds = 100;

    private readonly List<CoordinatorEffect> _effects = new(capacity: 1024);
    private readonly Coordinator _coordinator = new(
        Streams.Of(),
        [
            .. Enumerable.Range(0, Vcpus).Select(index => new Participant(index, ParticipantKind.Vcpu, $"vcpu {index}")),
            .. Enumerable.Range(Vcpus, Devices).Select(index => new Participant(index, ParticipantKind.Device, $"device {index}")),
            new Participant(Vcpus + Devices, ParticipantKind.Machine, "machine"),
        ],
        new CoordinatorOptions());

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void From_the_first_park_until_the_disk_begins_and_all_run_again_the_coordinator_allocates_nothing(bool storesBeforeAllRun)
    {
        for (var round = 1; round <= WarmUpRounds; round++)
            TakeCheckpoint(round, storesBeforeAllRun);

        Assert.Equal(0, TakeCheckpoint(WarmUpRounds + 1, storesBeforeAllRun));
    }

    private long TakeCheckpoint(long number, bool storesBeforeAllRun)
    {
        var round = new RoundId(number);
        var now = new Moment(number, Streams.Noon);
        CoordinatorInput[] pause =
        [
            .. Enumerable.Range(0, Vcpus + Devices).Select(index => new CoordinatorInput.ParticipantParked(round, index)),
            .. Enumerable.Range(0, Vcpus + Devices + 1).Select(index => new CoordinatorInput.ParticipantCaptured(round, index)),
            .. Enumerable.Range(Vcpus, Devices).Select(index => new CoordinatorInput.ParticipantResumed(round, index)),
            .. storesBeforeAllRun ? (CoordinatorInput[])[new CoordinatorInput.DeadlineReached(round, RoundPhase.ResumingVcpus)] : [],
            .. Enumerable.Range(0, Vcpus).Select(index => new CoordinatorInput.ParticipantResumed(round, index)),
        ];
        CoordinatorInput[] rest =
        [
            new CoordinatorInput.PartsStored(round, new StoredParts(default, null, CheckpointMode.Full, 0, 0, null, "msrs")),
            new CoordinatorInput.AppendEnded(number, new AppendResult.Committed(Streams.HeadAt(number + 1))),
        ];
        _effects.Clear();
        _coordinator.Handle(new CoordinatorInput.BeginCheckpoint(number, new CheckpointId((UInt128)number), CheckpointTrigger.Request, null), now, _effects);
        _coordinator.Handle(new CoordinatorInput.ParticipantPrepared(round, Vcpus + Devices), now, _effects);

        var before = GC.GetAllocatedBytesForCurrentThread();
        foreach (var input in pause)
            _coordinator.Handle(input, now, _effects);
        var allocated = GC.GetAllocatedBytesForCurrentThread() - before;

        Assert.Equal(RoundPhase.Storing, _coordinator.Phase);
        Assert.Single(_effects.OfType<CoordinatorEffect.StoreParts>());
        foreach (var input in rest)
            _coordinator.Handle(input, now, _effects);
        Assert.Equal(RoundPhase.Idle, _coordinator.Phase);
        return allocated;
    }
}
