using Checkpoint.Actors.Coordination;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Simulation.Scheduling;

/// <summary>What an activity is, as far as its pace goes.</summary>
internal enum ActivityKind
{
    Vcpu,
    Store,
    Other,
}

/// <summary>How long an activity waits before its next step.</summary>
/// <param name="Us">Microseconds.</param>
/// <param name="IsFirm">Whether nothing can shorten it: it is held up, not asleep.</param>
internal readonly record struct Pause(long Us, bool IsFirm = false);

/// <summary>How long the scheduler lets an activity wait before its next step; faults make it longer.</summary>
internal interface IPace
{
    /// <summary>The time until the step after a wake, or until the next step of one that has more to do.</summary>
    Pause BeforeStep(string name, ActivityKind kind, bool isWoken);

    /// <summary>An activity hangs in a call and never takes a step again.</summary>
    void OnStuck(string name, ActivityKind kind);
}

/// <summary>The engine's activities as steps of the scheduler, each after a while that the seed decides.</summary>
internal sealed class SimulatedThreads(Scheduler scheduler, SimulatedProcess process, SeededRandom random) : IEngineThreads
{
    // Continuations run at once: there is no other thread to go on.
    public TaskCreationOptions Completion => TaskCreationOptions.None;

    /// <summary>Whose activities are being made.</summary>
    public IPace? Pace { get; set; }

    public IActivityThread For(IActivity activity) => new SteppedActivity(
        scheduler,
        process,
        activity,
        activity switch
        {
            VcpuActor => ActivityKind.Vcpu,
            StoreThread => ActivityKind.Store,
            _ => ActivityKind.Other,
        },
        Pace ?? throw new InvalidOperationException("An activity was made for nobody."));

    public IParticipantListener ReportsTo(IParticipantListener listener) => new HeldReports(scheduler, listener);

    public void Run(Func<Task> work) => scheduler.After(random.Between(1, 200), () => _ = work(), process);

    /// <summary>The bytes that were drawn last: a round's identity.</summary>
    public byte[] LastDrawn { get; private set; } = [];

    public void FillRandom(Span<byte> bytes)
    {
        random.Fill(bytes);
        LastDrawn = bytes.ToArray();
    }

    // A step is whole, but a call in it may be said to take long: what was reported behind it is heard at its end.
    private sealed class HeldReports(Scheduler scheduler, IParticipantListener listener) : IParticipantListener
    {
        public void Hear(CoordinatorInput report)
        {
            if (scheduler.AtWork is { IsHeld: true } sender)
                sender.Afterwards(() => listener.Hear(report));
            else
                listener.Hear(report);
        }

        public void HearSoon(CoordinatorInput report)
        {
            if (scheduler.AtWork is { IsHeld: true } sender)
                sender.Afterwards(() => listener.HearSoon(report));
            else
                listener.HearSoon(report);
        }

        public void LookIn() => listener.LookIn();
    }
}
