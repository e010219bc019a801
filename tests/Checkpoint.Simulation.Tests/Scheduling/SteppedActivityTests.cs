using Checkpoint.Actors.Hosting;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Tests.Scheduling;

public sealed class SteppedActivityTests : IPace
{
    private const long UsPerStep = 10;

    private readonly Scheduler _scheduler = new();
    private readonly List<string> _happened = [];
    private bool _isStuck;

    [Fact]
    public void What_is_reported_behind_a_call_that_takes_long_is_heard_at_its_end_and_the_next_step_comes_after()
    {
        Play(TimeSpan.FromMilliseconds(3));
        Assert.Equal(["10 step", "10 reports", "3010 heard", "3010 step", "3010 reports", "3010 heard"], _happened);
    }

    [Fact]
    public void Of_somebody_who_hangs_nothing_is_heard_and_he_takes_no_further_step()
    {
        Play(Timeout.InfiniteTimeSpan);
        Assert.Equal(["10 step", "10 reports"], _happened);
        Assert.True(_isStuck);
    }

    [Fact]
    public void A_report_of_somebody_who_is_not_held_is_heard_at_once()
    {
        Play(TimeSpan.Zero);
        Assert.Equal(["10 step", "10 reports", "10 heard", "20 step", "20 reports", "20 heard"], _happened);
    }

    Pause IPace.BeforeStep(string name, ActivityKind kind, bool isWoken) => new(UsPerStep);

    void IPace.OnStuck(string name, ActivityKind kind) => _isStuck = true;

    // Two steps, in the first of which a call takes so long.
    private void Play(TimeSpan delay)
    {
        var threads = new SimulatedThreads(_scheduler, new SimulatedProcess(1), new SeededRandom(1)) { Pace = this };
        var reports = threads.ReportsTo(new Listener(this));
        var activity = new Activity(this, reports, delay);
        var thread = threads.For(activity);
        thread.Start();
        for (var i = 0; i < 20 && _scheduler.Step(); i++)
            thread.Wake();
    }

    private void Note(string what) => _happened.Add($"{_scheduler.NowUs} {what}");

    private sealed class Activity(SteppedActivityTests test, IParticipantListener reports, TimeSpan delay) : IActivity
    {
        private int _steps;

        public string Name => "activity";

        public WakeSignal? Signal => null;

        public void Run() => throw new NotSupportedException("It is stepped.");

        public bool Step(out TimeSpan? pause)
        {
            pause = null;
            if (_steps++ == 2)
                return false;
            test.Note("step");
            if (_steps == 1 && delay != TimeSpan.Zero)
                test._scheduler.AtWork!.Hold(delay);
            test.Note("reports");
            reports.Hear(new CoordinatorInput.ParticipantParked(new RoundId(1), 0));
            return true;
        }
    }

    private sealed class Listener(SteppedActivityTests test) : IParticipantListener
    {
        public void Hear(CoordinatorInput report) => test.Note("heard");
    }
}
