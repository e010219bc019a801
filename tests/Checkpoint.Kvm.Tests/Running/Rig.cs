using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>
/// A runner on a scripted vCPU. Everything that the runner does to the vCPU and tells its owner is a line of one log:
/// <c>run</c> (the guest is entered), <c>finish</c> (entered with immediate_exit), <c>exit Io</c>, <c>capture</c>, and reports.
/// </summary>
internal sealed class Rig : IExitHandler, IVcpuObserver
{
    private readonly List<string> _log = [];

    public Rig(params ScriptedExit[] exits)
    {
        Vcpu = new ScriptedVcpu(_log);
        foreach (var exit in exits)
            Vcpu.Exits.Enqueue(exit);
        Runner = new VcpuRunner(Vcpu, this, Capture, this);
    }

    public ScriptedVcpu Vcpu { get; }

    public VcpuRunner Runner { get; }

    /// <summary>What the exit handler does; it goes on unless told otherwise.</summary>
    public Func<VcpuExitReason, ExitAction> OnExit { get; set; } = _ => ExitAction.Continue;

    /// <summary>What reading the state does.</summary>
    public Action OnCapture { get; set; } = () => { };

    /// <summary>What the owner does when it hears a report.</summary>
    public Action<string> OnReport { get; set; } = _ => { };

    public Exception? Failure { get; private set; }

    /// <summary>How often the owner heard that the runner has ended.</summary>
    public int Ends { get; private set; }

    public Rig Resumed()
    {
        Runner.RequestResume(1);
        return Steps();
    }

    public Rig Steps(int count = 1)
    {
        for (var i = 0; i < count; i++)
            Assert.True(Runner.Step(), "The runner has ended.");
        return this;
    }

    public Rig StepsForTheLastTime()
    {
        Assert.False(Runner.Step(), "The runner has not ended.");
        return this;
    }

    /// <summary>These lines came since the last look.</summary>
    public Rig Did(params string[] lines)
    {
        Assert.Equal(lines, _log);
        _log.Clear();
        return this;
    }

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        Assert.Equal(0, vcpu);
        _log.Add($"exit {exit.Reason}");
        return OnExit(exit.Reason);
    }

    public void OnParked(long token) => Report($"parked {token}");

    public void OnCaptured(long token) => Report($"captured {token}");

    public void OnResumed(long token) => Report($"resumed {token}");

    public void OnFailed(long token, Exception failure) => Report($"failed {token}: {failure.Message}");

    public void OnStopped()
    {
        Ends++;
        Report("stopped");
    }

    [SuppressMessage("Design", "CA1062", Justification = "The runner gives a reason.")]
    public void OnEnded(string reason, Exception? failure)
    {
        Failure = failure;
        Ends++;
        Report($"ended: {reason}");
    }

    private void Capture()
    {
        _log.Add("capture");
        OnCapture();
    }

    private void Report(string line)
    {
        _log.Add(line);
        OnReport(line);
    }
}
