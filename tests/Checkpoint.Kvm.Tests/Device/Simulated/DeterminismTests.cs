using System.Security.Cryptography;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

public sealed class DeterminismTests
{
    [Theory]
    [InlineData(GuestKind.Counter)]
    [InlineData(GuestKind.Ledger)]
    public void The_same_seed_gives_the_same_history_byte_for_byte(GuestKind kind)
    {
        var first = History(kind, seed: 3);
        Assert.Equal(first, History(kind, seed: 3));
        Assert.NotEqual(first, History(kind, seed: 4));
    }

    [Fact]
    public void A_kick_that_nobody_is_bound_for_changes_nothing() =>
        Assert.Equal(History(GuestKind.Ledger, 5), History(GuestKind.Ledger, 5, guest => guest.Machine.Vcpus[0].Vcpu.Kick()));

    // One thread drives two vCPUs by turns; after each turn registers, clock and memory go into the history.
    private static List<string> History(GuestKind kind, ulong seed, Action<GuestMachine>? disturb = null)
    {
        using var kvm = new SimulatedKvm(new() { Seed = seed, Slice = new SimulatedSlice(1, 3_000) });
        using var guest = GuestMachine.Create(kvm, kind, new GuestOptions { Vcpus = 2, Seed = 1, ExitEverySteps = 256 }, InterruptChip.Full);
        var observer = new SilentObserver();
        var runners = guest.Machine.Vcpus.Select(vcpu => new VcpuRunner(vcpu.Vcpu, guest, vcpu.Capture, observer)).ToArray();
        foreach (var runner in runners)
            runner.RequestResume(1);
        var history = new List<string>();
        for (var turn = 0; turn < 100; turn++)
        {
            runners[turn % 2].Step();
            disturb?.Invoke(guest);
            guest.Machine.CaptureVm();
            foreach (var vcpu in guest.Machine.Vcpus)
                vcpu.Capture();
            var states = guest.Machine.Vcpus.Select(vcpu => vcpu.ToStateList()).Append(guest.Machine.ToVmStateList());
            var bytes = states.SelectMany(state => state.SelectMany(item => item.Value.ToArray())).ToArray();
            history.Add(Convert.ToHexString(SHA256.HashData(bytes)));
        }

        history.Add(Convert.ToHexString(SHA256.HashData(guest.Machine.Memory.ReadBytes(0, GuestOptions.DefaultMemoryBytes))));
        // Nothing waits for IO any more once the runners are parked.
        foreach (var runner in runners)
        {
            runner.RequestPark(2);
            runner.Step();
        }

        Assert.Equal(4, observer.Answers);
        Assert.Empty(guest.Verify().Failures);
        return history;
    }

    private sealed class SilentObserver : IVcpuObserver
    {
        public int Answers { get; private set; }

        public void OnParked(long token) => Answers++;

        public void OnCaptured(long token) => Answers++;

        public void OnResumed(long token) => Answers++;

        public void OnFailed(long token, Exception failure) => throw failure;

        public void OnStopped()
        {
        }

        public void OnEnded(string reason, Exception? failure) => throw new InvalidOperationException(reason, failure);
    }
}
