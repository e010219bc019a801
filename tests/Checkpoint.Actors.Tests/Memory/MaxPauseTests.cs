using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Actors.Tests.Memory;

/// <summary>
/// A bound on the pause, on a simulated kernel where copying a page takes 100 µs of virtual time and nothing else takes any. Pages are written as
/// often as memory is read before the pause, or when the vCPUs have parked.
/// </summary>
[Collection(GuestCollection.Name)]
public sealed class MaxPauseTests : IDisposable
{
    private const ulong Written = 4 << 20;
    private const long MaxPauseUs = 5000;

    private readonly ManualTime _time = new();
    private readonly SimulatedKvm _kvm = new(new SimulatedKvmOptions());
    private readonly FaultPlan _faults;
    private readonly FaultyKvm _slow;
    private GuestMachine? _guest;
    private int _pages;
    private bool _writesOn;

    public MaxPauseTests()
    {
        _faults = new FaultPlan(seed: 1, new VirtualWaits(this));
        _slow = new FaultyKvm(_kvm, _faults);
    }

    [Theory]
    [InlineData(OverMaxPause.Protect, 10, MemoryWay.Precopied, false)]
    [InlineData(OverMaxPause.Refuse, 10, MemoryWay.Precopied, false)]
    [InlineData(OverMaxPause.Exceed, 10, MemoryWay.Precopied, false)]
    [InlineData(OverMaxPause.Protect, 100, MemoryWay.Protected, false)]
    [InlineData(OverMaxPause.Refuse, 100, null, null)]
    [InlineData(OverMaxPause.Exceed, 100, MemoryWay.Precopied, true)]
    public async Task A_guest_that_writes_too_fast_for_the_bound_is_protected_refused_or_named(OverMaxPause over, int pages, MemoryWay? way, bool? isOver)
    {
        await using var bench = Bench.Open(time: _time, host: _slow);
        using var guest = Guest();
        await using var machine = await bench.AttachAsync(guest, Options(over));
        _faults.PhaseSource = () => machine.Phase?.ToString();
        await Bench.CommittedAsync(machine);
        _faults.On(FaultCalls.MemoryRead).Delay(TimeSpan.FromMicroseconds(100));
        (_guest, _pages, _writesOn) = (guest, pages, true);
        for (var round = 0; round < 5; round++)
        {
            Write();
            var outcome = await machine.CheckpointAsync();
            if (way is null)
            {
                var aborted = Assert.IsType<CheckpointOutcome.Aborted>(outcome);
                Assert.Matches("^machine could not prepare: the guest writes too fast: [0-9]+ pages are left for the pause and would take [0-9.]+ ms of the 5.00 ms", aborted.Abort.Reason);
                continue;
            }

            var committed = Assert.IsType<CheckpointOutcome.Committed>(outcome).Checkpoint;
            Assert.Equal<(MemoryWay?, bool?, long?)>((way, isOver, MaxPauseUs), (committed.Taking!.Way, committed.IsOverMaxPause, committed.Taking.MaxPauseUs));
            Assert.Equal(committed.IsOverMaxPause, committed.Timings.PauseUs > MaxPauseUs);
        }
    }

    [Theory]
    [InlineData(OverMaxPause.Protect)]
    [InlineData(OverMaxPause.Refuse)]
    [InlineData(OverMaxPause.Exceed)]
    public async Task What_is_written_until_all_are_parked_makes_no_pause_longer_than_its_bound_that_nobody_hears_of(OverMaxPause over)
    {
        await using var bench = Bench.Open(time: _time, host: _slow);
        using var guest = Guest();
        var late = new LateWriter(this);
        await using var machine = await bench.AttachAsync(guest, Options(over), devices: [late]);
        _faults.PhaseSource = () => machine.Phase?.ToString();
        await Bench.CommittedAsync(machine);
        _faults.On(FaultCalls.MemoryRead).Delay(TimeSpan.FromMicroseconds(100));
        (_guest, _pages, _writesOn) = (guest, 100, true);
        // One round tells how long a page takes, and is nobody's to remember otherwise.
        Write();
        await machine.CheckpointAsync();
        _writesOn = false;
        late.IsOn = true;
        var (committed, named) = (0, 0);
        for (var round = 0; round < 10; round++)
        {
            switch (await machine.CheckpointAsync())
            {
                case CheckpointOutcome.Aborted { Abort: var abort }:
                    Assert.Equal(OverMaxPause.Refuse, over);
                    Assert.Contains("the guest writes too fast: ", abort.Reason, StringComparison.Ordinal);
                    named++;
                    break;
                case CheckpointOutcome.Committed { Checkpoint: var checkpoint }:
                    Assert.Equal(over == OverMaxPause.Exceed && checkpoint.Timings.PauseUs > MaxPauseUs, checkpoint.IsOverMaxPause);
                    committed++;
                    named += checkpoint.IsOverMaxPause is true || checkpoint.Taking!.Way == MemoryWay.Protected ? 1 : 0;
                    break;
                case var other:
                    Assert.Fail($"{other}");
                    break;
            }
        }

        Assert.Equal(over == OverMaxPause.Refuse ? 10 - named : 10, committed);
        Assert.True(named > 0, "No pause was in danger of being too long.");
    }

    [Fact]
    public async Task A_pause_that_others_disturbed_forbids_none_of_those_that_follow_for_ever()
    {
        await using var bench = Bench.Open(time: _time, host: _slow);
        using var guest = Guest();
        await using var machine = await bench.AttachAsync(guest, Options(OverMaxPause.Refuse));
        _faults.PhaseSource = () => machine.Phase?.ToString();
        // The first pause: the log alone keeps it for ten times the bound.
        _faults.On("KVM_GET_DIRTY_LOG").InPhase("Capturing").Times(1).Delay(TimeSpan.FromMicroseconds(10 * MaxPauseUs));
        await Bench.CommittedAsync(machine);
        Assert.Equal(1, _faults.Hits);
        var refused = 0;
        while (await machine.CheckpointAsync() is CheckpointOutcome.Aborted)
            Assert.InRange(++refused, 1, 10);
        Assert.True(refused > 0, "Nothing was refused.");
    }

    public void Dispose()
    {
        _faults.Disarm();
        _slow.Dispose();
        _kvm.Dispose();
    }

    private static CoordinatorOptions Options(OverMaxPause over) => Bench.Patient() with
    {
        Mode = CheckpointMode.Incremental,
        MaxPause = TimeSpan.FromMicroseconds(MaxPauseUs),
        OverMaxPause = over,
    };

    private GuestMachine Guest() => GuestMachine.Create(_slow, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 3, MemoryBytes = 8 << 20 });

    // No two of them are neighbours, so that each is read by itself.
    private void Write()
    {
        for (var page = 0UL; page < (ulong)_pages; page++)
            _guest!.Machine.Memory.Write(Written + (page * 2 * 4096), [1]);
    }

    private sealed class LateWriter(MaxPauseTests test) : IDeviceParticipant
    {
        public bool IsOn { get; set; }

        public string Name => "late";

        public ReadOnlyMemory<byte> Capture() => default;

        public void Park()
        {
            if (IsOn)
                test.Write();
        }

        public void Resume()
        {
        }
    }

    private sealed class VirtualWaits(MaxPauseTests test) : IFaultWaits
    {
        public void Wait(FaultHit hit, TimeSpan duration, CancellationToken end)
        {
            // What is copied after the pause is copied beside vCPUs that may not have said yet that they run.
            if (Thread.CurrentThread.Name == "store")
                return;
            test._time.Advance(duration);
            if (hit.Phase == nameof(RoundPhase.Preparing) && test._writesOn)
                test.Write();
        }

        public void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end) =>
            throw new NotSupportedException("Nothing comes late here beside its caller.");
    }
}
