using System.Collections.Concurrent;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Actors.Tests.Hosting;

public sealed class ThreadedActorTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);
    private static readonly RoundId s_round = new(1);

    [Fact]
    public async Task A_machine_that_has_just_prepared_captures_on_its_own_thread_beside_the_one_that_reports()
    {
        var actor = new Recorder(lingering: s_patience);
        actor.Start();
        actor.Tell(new CoordinatorEffect.PrepareParticipant(s_round, 0, CheckpointMode.Full));
        await actor.LooksOut.WaitAsync(s_patience);

        actor.HelpAfter(actor, static each => each.Tell(new CoordinatorEffect.CaptureParticipant(s_round, 0)));

        Assert.Equal("recorder", await actor.CapturedOn.WaitAsync(s_patience));
        await EndAsync(actor);
    }

    [Fact]
    public async Task A_machine_whose_thread_sleeps_is_captured_by_the_one_that_reports()
    {
        var actor = new Recorder(lingering: TimeSpan.Zero);
        actor.Start();
        await OnAThreadCalled("vcpu", () => actor.HelpAfter(actor, static each => each.Tell(new CoordinatorEffect.CaptureParticipant(s_round, 0))));

        Assert.Equal("vcpu", await actor.CapturedOn.WaitAsync(s_patience));
        await EndAsync(actor);
    }

    [Fact]
    public async Task A_capture_that_was_left_to_a_thread_without_a_processor_is_done_by_a_vcpu_that_has_done_its_own()
    {
        using var stall = new ManualResetEventSlim();
        var actor = new Recorder(lingering: TimeSpan.FromMilliseconds(1), stall);
        actor.Start();
        actor.Tell(new CoordinatorEffect.PrepareParticipant(s_round, 0, CheckpointMode.Full));
        await actor.LooksOut.WaitAsync(s_patience);
        await OnAThreadCalled("vcpu", () =>
        {
            actor.HelpAfter(actor, static each => each.Tell(new CoordinatorEffect.CaptureParticipant(s_round, 0)));
            Assert.False(actor.CapturedOn.IsCompleted);
            actor.Help(isLast: true);
        });

        Assert.Equal("vcpu", await actor.CapturedOn.WaitAsync(s_patience));
        stall.Set();
        await EndAsync(actor);
    }

    private static async Task OnAThreadCalled(string name, Action work)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() =>
        {
            try
            {
                work();
                done.SetResult();
            }
            catch (Exception failure)
            {
                done.SetException(failure);
            }
        }) { IsBackground = true, Name = name }.Start();
        await done.Task.WaitAsync(s_patience);
    }

    private static async Task EndAsync(Recorder actor)
    {
        actor.Stop();
        await actor.Ended.WaitAsync(s_patience);
        Assert.Single(actor.Heard.Reports.OfType<CoordinatorInput.ParticipantCaptured>());
    }

    // Its thread stalls, where that is asked for, once it looks out for the capture.
    private sealed class Recorder(TimeSpan lingering, Listener heard, ManualResetEventSlim? stall)
        : ThreadedActor(new Participant(0, ParticipantKind.Machine, "recorder"), heard, null)
    {
        private readonly TaskCompletionSource _looksOut = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private readonly TaskCompletionSource<string?> _capturedOn = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private int _asked;

        public Recorder(TimeSpan lingering, ManualResetEventSlim? stall = null)
            : this(lingering, new Listener(), stall)
        {
        }

        public Listener Heard { get; } = heard;

        public Task LooksOut => _looksOut.Task;

        public Task<string?> CapturedOn => _capturedOn.Task;

        // Asked for first when it is ready to look out, then as it does.
        protected override TimeSpan Lingering
        {
            get
            {
                if (++_asked == 2)
                {
                    _looksOut.SetResult();
                    stall?.Wait();
                }

                return lingering;
            }
        }

        protected override bool MayBeHelped => true;

        protected override void Park()
        {
        }

        protected override void Capture() => _capturedOn.TrySetResult(Thread.CurrentThread.Name);

        protected override void Resume()
        {
        }
    }

    private sealed class Listener : IParticipantListener
    {
        public ConcurrentQueue<CoordinatorInput> Reports { get; } = [];

        public void Hear(CoordinatorInput report) => Reports.Enqueue(report);
    }
}
