using System.Collections.Concurrent;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>A runner on a thread of its own, and an owner on another that waits for its reports.</summary>
internal sealed class RunnerThread : IExitHandler, IVcpuObserver, IDisposable
{
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(5);

    private readonly Thread _thread;
    private readonly SemaphoreSlim _heard = new(0);
    private readonly ConcurrentQueue<Exception> _thrown = new();
    private readonly long[] _reports = new long[4];
    private SleepWatch? _sleeper;

    public RunnerThread(bool doesIo = false)
    {
        Vcpu = new KickableVcpu(doesIo);
        Runner = new VcpuRunner(Vcpu, this, () => Captures++, this);
        _thread = new Thread(Drive) { IsBackground = true };
    }

    private enum Report
    {
        Parked,
        Captured,
        Resumed,
        Ended,
    }

    public KickableVcpu Vcpu { get; }

    public VcpuRunner Runner { get; }

    public int Captures { get; private set; }

    /// <summary>Exits that the owner has handled.</summary>
    public int Exits { get; private set; }

    /// <summary>Thrown by the owner when it hears that the vCPU is parked.</summary>
    public Exception? ThrowWhenParked { get; set; }

    /// <summary>What the runner's thread had allocated when it gave its latest report.</summary>
    public long AllocatedBytes { get; private set; }

    public RunnerThread Start()
    {
        _thread.Start();
        return this;
    }

    public void Park(long token)
    {
        Runner.RequestPark(token);
        Wait(Report.Parked, token);
    }

    public void Capture(long token)
    {
        Runner.RequestCapture(token);
        Wait(Report.Captured, token);
    }

    public void Resume(long token)
    {
        Runner.RequestResume(token);
        Wait(Report.Resumed, token);
    }

    /// <summary>Waits until the thread sleeps and does not get up again by itself.</summary>
    public void WaitUntilItSleeps() =>
        Assert.True(SpinWait.SpinUntil(() => Volatile.Read(ref _sleeper)?.IsAsleep() ?? false, Patience), "The runner does not sleep.");

    /// <summary>Waits until the thread has ended.</summary>
    /// <returns>What it threw.</returns>
    public Exception? Join()
    {
        Assert.True(_thread.Join(Patience), "The runner's thread does not end.");
        return _thrown.TryDequeue(out var thrown) ? thrown : null;
    }

    public void Dispose()
    {
        Runner.RequestStop();
        Join();
        _heard.Dispose();
    }

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        Exits++;
        return ExitAction.Continue;
    }

    public void OnParked(long token)
    {
        if (ThrowWhenParked is not null)
            throw ThrowWhenParked;
        Hear(Report.Parked, token);
    }

    public void OnCaptured(long token) => Hear(Report.Captured, token);

    public void OnResumed(long token) => Hear(Report.Resumed, token);

    public void OnFailed(long token, Exception failure) => _thrown.Enqueue(failure);

    public void OnStopped() => Hear(Report.Ended, 0);

    public void OnEnded(string reason, Exception? failure) => Hear(Report.Ended, 0);

    private void Drive()
    {
        Volatile.Write(ref _sleeper, SleepWatch.OfCurrentThread());
        try
        {
            Runner.Run();
        }
        catch (Exception thrown)
        {
            _thrown.Enqueue(thrown);
        }
    }

    private void Hear(Report report, long token)
    {
        AllocatedBytes = GC.GetAllocatedBytesForCurrentThread();
        Volatile.Write(ref _reports[(int)report], token);
        _heard.Release();
    }

    private void Wait(Report report, long token)
    {
        while (Volatile.Read(ref _reports[(int)report]) != token)
            Assert.True(_heard.Wait(Patience), $"The runner never said {report} {token}: a wake-up is lost.");
    }
}
