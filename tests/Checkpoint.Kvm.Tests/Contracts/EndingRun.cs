using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Runs the vCPUs of a guest until each has ended by itself.</summary>
internal sealed class EndingRun : IVcpuObserver, IDisposable
{
    private readonly List<string> _ends = [];
    private readonly VcpuRunner[] _runners;
    private readonly Thread[] _threads;

    internal EndingRun(GuestMachine guest)
    {
        _runners = [.. guest.Machine.Vcpus.Select(vcpu => new VcpuRunner(vcpu.Vcpu, guest, vcpu.Capture, this))];
        _threads = [.. _runners.Select(runner => new Thread(runner.Run) { IsBackground = true })];
        foreach (var runner in _runners)
            runner.RequestResume(1);
        foreach (var thread in _threads)
            thread.Start();
    }

    /// <summary>Why each vCPU has ended.</summary>
    internal IReadOnlyList<string> Ends(TimeSpan limit)
    {
        foreach (var thread in _threads)
            Assert.True(thread.Join(limit), "A vCPU goes on running.");
        lock (_ends)
            return [.. _ends];
    }

    public void Dispose()
    {
        foreach (var runner in _runners)
            runner.RequestStop();
        foreach (var thread in _threads)
            thread.Join();
    }

    void IVcpuObserver.OnParked(long token)
    {
    }

    void IVcpuObserver.OnCaptured(long token)
    {
    }

    void IVcpuObserver.OnResumed(long token)
    {
    }

    void IVcpuObserver.OnFailed(long token, Exception failure) => Assert.Fail(failure.Message);

    void IVcpuObserver.OnStopped()
    {
    }

    void IVcpuObserver.OnEnded(string reason, Exception? failure)
    {
        lock (_ends)
            _ends.Add(reason);
    }
}
