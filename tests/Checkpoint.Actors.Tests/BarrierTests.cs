using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests;

/// <summary>
/// The ledger is what the tests of consistency stand on, so it must be able to fail: here it sees captures made with the
/// barrier and without it.
/// </summary>
[Collection(GuestCollection.Name)]
public sealed class BarrierTests
{
    private const int Tries = 20;
    private const int Vcpus = 4;

    // No exits: what fails is the ledger itself, not the device's numbers.
    private const ulong Never = 1UL << 40;

    [KvmFact]
    public async Task The_ledger_catches_a_capture_without_the_barrier()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(vcpus: Vcpus, exitEvery: Never);
        using var witness = X64Machine.Create(bench.Kvm, guest.Machine.Description);
        var threads = new List<Thread>();
        var vcpus = guest.Machine.Vcpus.Select(state => new SingleVcpu(state.Vcpu, guest, state.Capture)).ToList();
        foreach (var vcpu in vcpus)
        {
            threads.Add(new Thread(vcpu.Runner.Run) { IsBackground = true });
            threads[^1].Start();
            await vcpu.AskAsync(runner => runner.RequestResume(1));
        }

        var caught = 0;
        for (var attempt = 0; attempt < Tries; attempt++)
        {
            await Task.Delay(2);
            var states = new List<StateList>();
            for (var i = 0; i < Vcpus; i++)
            {
                await vcpus[i].AskAsync(runner => runner.RequestPark(1));
                await vcpus[i].AskAsync(runner => runner.RequestCapture(1));
                CopyQuarter(guest, witness, i);
                states.Add(guest.Machine.Vcpus[i].ToStateList());
                await vcpus[i].AskAsync(runner => runner.RequestResume(1));
            }

            // The vCPUs' own step counts disagree as well; only what the tokens and their hops say counts here.
            var verdict = GuestMachine.Restore(witness, guest.CaptureDevice().Span).Verify(states);
            if (verdict.Failures.Any(failure => failure.StartsWith("token ", StringComparison.Ordinal)))
                caught++;
        }

        foreach (var vcpu in vcpus)
            await vcpu.AskAsync(runner => runner.RequestStop());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromSeconds(30))));
        Assert.True(caught > Tries / 2, $"{caught} of {Tries} torn captures were caught");
    }

    [KvmFact]
    public async Task The_ledger_never_fails_with_the_barrier()
    {
        await using var bench = Bench.Open();
        using var guest = bench.Guest(vcpus: Vcpus, exitEvery: Never);
        await using var machine = await bench.AttachAsync(guest);
        machine.Start();
        for (var attempt = 0; attempt < Tries; attempt++)
        {
            await Task.Delay(2);
            await Bench.CommittedAsync(machine);
        }

        await machine.StopAsync();
        GuestVerdict? before = null;
        for (var number = 1; number <= Tries; number++)
        {
            using var restored = await bench.RestoreAsync(number);
            var verdict = Bench.GuestOf(restored).Verify(restored.Document.Vcpus);
            Assert.Equal([], verdict.Failures);
            Assert.True(before is null || verdict.Hops >= before.Hops, $"the hops went back at checkpoint {number}");
            before = verdict;
        }

        Assert.True(before!.Hops > 1000, $"the tokens have moved only {before.Hops} times: nothing was proven");
    }

    private static void CopyQuarter(GuestMachine from, X64Machine to, int quarter)
    {
        // Memory beyond the used part is zero and stays so.
        var length = (((int)from.Program.UsedMemoryBytes / Vcpus) + 4096) & ~4095;
        var address = (ulong)(quarter * length);
        var quarters = new byte[length];
        from.Machine.Memory.Read(address, quarters);
        to.Memory.Write(address, quarters);
    }

    /// <summary>One vCPU driven by itself, without a coordinator.</summary>
    private sealed class SingleVcpu : IVcpuObserver
    {
        private TaskCompletionSource _answer = new();

        public SingleVcpu(Kvm.Device.IVcpu vcpu, IExitHandler exits, Action capture) =>
            Runner = new VcpuRunner(vcpu, exits, capture, this);

        public VcpuRunner Runner { get; }

        public Task AskAsync(Action<VcpuRunner> request)
        {
            _answer = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            request(Runner);
            return _answer.Task.WaitAsync(TimeSpan.FromSeconds(30));
        }

        public void OnParked(long token) => _answer.TrySetResult();

        public void OnCaptured(long token) => _answer.TrySetResult();

        public void OnResumed(long token) => _answer.TrySetResult();

        public void OnFailed(long token, Exception failure) => _answer.TrySetException(failure);

        public void OnStopped() => _answer.TrySetResult();

        public void OnEnded(string reason, Exception? failure) => _answer.TrySetResult();
    }
}
