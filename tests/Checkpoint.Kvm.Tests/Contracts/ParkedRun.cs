using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Runners on threads of their own for the vCPUs of a guest, all of them parked but for the moments that are asked for.</summary>
internal sealed class ParkedRun : IVcpuObserver, IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    private readonly SemaphoreSlim _answers = new(0);
    private readonly VcpuRunner[] _runners;
    private readonly Thread[] _threads;
    private volatile string? _end;

    internal ParkedRun(GuestMachine guest)
    {
        _runners = [.. guest.Machine.Vcpus.Select(vcpu => new VcpuRunner(vcpu.Vcpu, guest, vcpu.Capture, this))];
        _threads = [.. _runners.Select(runner => new Thread(runner.Run) { IsBackground = true })];
        foreach (var thread in _threads)
            thread.Start();
    }

    /// <summary>Lets all vCPUs run and parks them again.</summary>
    /// <param name="spins">How long, in turns of an empty loop.</param>
    internal void RunForAMoment(int spins)
    {
        foreach (var runner in _runners)
            runner.RequestResume(1);
        Await();
        Thread.SpinWait(spins);
        foreach (var runner in _runners)
            runner.RequestPark(2);
        Await();
    }

    /// <summary>Does something while all vCPUs run, and parks them again.</summary>
    internal void WhileRunning(Action action)
    {
        foreach (var runner in _runners)
            runner.RequestResume(1);
        Await();
        action();
        foreach (var runner in _runners)
            runner.RequestPark(2);
        Await();
    }

    public void Dispose()
    {
        foreach (var runner in _runners)
            runner.RequestStop();
        foreach (var thread in _threads)
            Assert.True(thread.Join(s_limit));
        _answers.Dispose();
    }

    void IVcpuObserver.OnParked(long token) => _answers.Release();

    void IVcpuObserver.OnCaptured(long token) => _answers.Release();

    void IVcpuObserver.OnResumed(long token) => _answers.Release();

    void IVcpuObserver.OnFailed(long token, Exception failure) => End(failure.Message);

    void IVcpuObserver.OnStopped()
    {
    }

    void IVcpuObserver.OnEnded(string reason, Exception? failure) => End(reason);

    private void End(string reason)
    {
        _end = reason;
        _answers.Release();
    }

    private void Await()
    {
        for (var i = 0; i < _runners.Length; i++)
            Assert.True(_answers.Wait(s_limit) && _end is null, _end ?? "A vCPU did not answer.");
    }
}
