using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>Lets a guest run on threads of its own until each vCPU has made some exits, then stops it with no IO pending.</summary>
internal static class RunGuest
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    public static void For(GuestMachine guest, int exits)
    {
        var vcpus = guest.Machine.Vcpus.Select(state => new Driven(state, guest, exits)).ToList();
        foreach (var vcpu in vcpus)
            vcpu.Thread.Start();
        Assert.All(vcpus, vcpu => Assert.True(vcpu.HasRun.Wait(s_limit), "a vCPU did not make its exits"));
        foreach (var vcpu in vcpus)
            vcpu.Runner.RequestStop();
        Assert.All(vcpus, vcpu => Assert.True(vcpu.Thread.Join(s_limit), "a vCPU did not stop"));
        Assert.All(vcpus, vcpu => Assert.Equal("was stopped", vcpu.End));
    }

    /// <summary>What a stopped machine is, memory excepted.</summary>
    public static StateDocument Capture(Machine machine)
    {
        machine.CaptureVm();
        foreach (var vcpu in machine.Vcpus)
            vcpu.Capture();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [.. machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);
    }

    private sealed class Driven : IExitHandler, IVcpuObserver
    {
        private readonly GuestMachine _guest;
        private readonly int _goal;
        private int _exits;

        public Driven(VcpuState state, GuestMachine guest, int goal)
        {
            _guest = guest;
            _goal = goal;
            Runner = new VcpuRunner(state.Vcpu, this, state.Capture, this);
            Runner.RequestResume(0);
            Thread = new Thread(Runner.Run) { IsBackground = true };
        }

        public VcpuRunner Runner { get; }

        public Thread Thread { get; }

        public ManualResetEventSlim HasRun { get; } = new();

        public string? End { get; private set; }

        public ExitAction Handle(int vcpu, in VcpuExit exit)
        {
            if (++_exits == _goal)
                HasRun.Set();
            return _guest.Handle(vcpu, exit);
        }

        public void OnStopped() => OnEnded("was stopped", null);

        public void OnEnded(string reason, Exception? failure)
        {
            End = reason;
            HasRun.Set();
        }

        public void OnParked(long token)
        {
        }

        public void OnCaptured(long token)
        {
        }

        public void OnResumed(long token)
        {
        }

        public void OnFailed(long token, Exception failure)
        {
        }
    }
}
