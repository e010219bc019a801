using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Running;
using Checkpoint.Kvm.Tests.Machines;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Guests;

[Collection(MachineCollection.Name)]
public sealed class TimerOnKvmTests
{
    private static readonly TimeSpan s_enoughForTicks = TimeSpan.FromMilliseconds(60);

    [KvmTheory]
    [InlineData(1, InterruptChip.Full)]
    [InlineData(4, InterruptChip.Full)]
    [InlineData(2, InterruptChip.Split)]
    public void A_timer_that_was_armed_before_the_checkpoint_fires_after_it(int vcpus, InterruptChip chip)
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Timer, new GuestOptions { Vcpus = vcpus, Seed = 7 }, chip);
        RunGuest.For(guest, exits: 5);
        Assert.Equal([], guest.Verify().Failures);
        Assert.All(guest.Verify().Ticks, ticks => Assert.InRange(ticks, 4ul, ulong.MaxValue));

        using var restored = Restore(kvm, guest, id => false);
        var at = restored.Verify();
        Assert.Equal([], at.Failures);
        RunGuest.For(restored, exits: 3);
        Assert.Equal([], restored.Verify().FailuresSince(at));
    }

    [KvmFact]
    public void A_deadline_that_the_kernel_refuses_is_the_kernels_no()
    {
        var faults = new FaultPlan();
        using var kvm = new FaultyKvm(SystemHandle.Open(), faults);
        faults.On("KVM_SET_MSRS", vcpu: 1).Fail(Errno.EINVAL, afterRegisters: 0);
        var no = Assert.Throws<KvmException>(() => GuestMachine.Create(kvm, GuestKind.Timer, new GuestOptions { Vcpus = 2, Seed = 7 }));
        Assert.Equal(("KVM_SET_MSRS", Errno.EINVAL, 1, "IA32_TSC_DEADLINE"), (no.Request, no.Errno, no.Vcpu, no.Register));
    }

    [KvmFact]
    public void A_timer_guest_stopped_at_any_moment_is_consistent()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Timer, new GuestOptions { Vcpus = 2, Seed = 7 });
        for (var i = 0; i < 30; i++)
        {
            RunGuest.For(guest, exits: 1);
            Assert.Equal([], guest.Verify().Failures);
        }
    }

    [KvmTheory]
    [InlineData(StateIds.X64Lapic, 0, "lapic.lvtt expected 0x40, found 0x10000")]
    [InlineData(StateIds.X64Lapic, 1, "lapic.lvtt expected 0x40040, found 0x10000")]
    [InlineData(StateIds.X64Lapic, 0, "ticks expected above")]
    [InlineData(StateIds.X64MsrBase | 0x6e0, 1, "ticks expected above")]
    [InlineData(StateIds.X64MsrBase | 0x6e0, 1, "no tick is armed, requested or being delivered: IA32_TSC_DEADLINE is 0")]
    [InlineData(StateIds.X64DebugRegs, 0, "dr0 expected 0x")]
    [InlineData(StateIds.X64DebugRegs, 0, "bits of dr1 that the guest has read otherwise expected 0x0")]
    [InlineData(StateIds.X64DebugRegs, 1, "traps of the breakpoint expected")]
    [InlineData(StateIds.X64Xsave, 0, "st(0) (n) expected")]
    public void What_is_left_out_of_a_restore_is_found_by_name(ulong leftOut, int vcpu, string named)
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Timer, new GuestOptions { Vcpus = 2, Seed = 7 });
        RunInTheLoop(guest);

        using var restored = Restore(kvm, guest, id => id == leftOut);
        var at = guest.Verify();
        RunFor(restored, s_enoughForTicks);
        Assert.Contains(restored.Verify().FailuresSince(at), failure => failure.StartsWith($"vCPU {vcpu}: {named}", StringComparison.Ordinal));
    }

    [Fact]
    public void Kernels_without_timer_interrupts_and_machines_without_a_local_apic_are_refused()
    {
        using var simulated = new SimulatedKvm(new SimulatedKvmOptions { Architecture = MachineArchitecture.X64, Seed = 1 });
        var options = new GuestOptions { Vcpus = 1 };
        Assert.Throws<NotSupportedException>(() => GuestMachine.Create(simulated, GuestKind.Timer, options));
        Assert.Throws<ArgumentException>(() => GuestMachine.Create(simulated, GuestKind.Timer, options, InterruptChip.None));
    }

    /// <summary>Stops where every tick is armed and nothing else: in its handler, or with a tick requested, a vCPU needs no armed timer to go on.</summary>
    private static void RunInTheLoop(GuestMachine guest)
    {
        do
        {
            RunGuest.For(guest, exits: 3);
            Assert.Equal([], guest.Verify().Failures);
        }
        while (!guest.Machine.Vcpus.All(vcpu => OnlyWaitsForItsTick(vcpu.ToStateList(), guest.Program.LoopEnd)));
    }

    private static bool OnlyWaitsForItsTick(StateList state, ulong loopEnd)
    {
        Assert.True(state.TryGet(StateIds.X64Regs, out var registers));
        Assert.True(state.TryGet(StateIds.X64Lapic, out var lapic));
        Assert.True(state.TryGet(StateIds.X64VcpuEvents, out var events));
        return BitConverter.ToUInt64(registers.Span[(TimerWalker.Rip * 8)..]) < loopEnd
            && !TimerApic.IsRequested(lapic.Span)
            && MemoryMarshal.Read<kvm_vcpu_events>(events.Span).interrupt_injected == 0;
    }

    /// <summary>A new machine with the state and the memory of a stopped one, less what is left out.</summary>
    private static GuestMachine Restore(IKvm kvm, GuestMachine guest, Func<ulong, bool> isLeftOut)
    {
        var saved = RunGuest.Capture(guest.Machine);
        var fresh = X64Machine.Create(kvm, saved.Machine);
        foreach (var region in guest.Machine.Memory.Regions)
        {
            var bytes = new byte[region.SizeBytes];
            guest.Machine.Memory.Read(region.GuestAddress, bytes);
            fresh.Memory.Write(region.GuestAddress, bytes);
        }

        // What is left out is as it is on a new machine: a list without it would be refused, and nothing set.
        var atRest = RunGuest.Capture(fresh);
        var vcpus = saved.Vcpus.Zip(atRest.Vcpus, (state, rest) => StateList.Create(state.Select(item => isLeftOut(item.Id) ? rest.Single(each => each.Id == item.Id) : item)));
        var refusals = fresh.Restore(saved with { Vcpus = [.. vcpus] }, ClockPolicy.Freeze, default, default).Refusals;
        // A LAPIC at rest takes no deadline, and in x2APIC mode it makes its own logical id.
        Assert.All(refusals, refusal => Assert.Contains(refusal.Register, (string[])["IA32_TSC_DEADLINE", "lapic.ldr"]));
        return GuestMachine.Restore(fresh, guest.CaptureDevice().Span);
    }

    /// <summary>Runs all vCPUs for a time, whether they make exits or not, and stops them with no IO pending.</summary>
    private static void RunFor(GuestMachine guest, TimeSpan time)
    {
        var ends = new Ends(guest.Machine.Vcpus.Length);
        var runners = guest.Machine.Vcpus.Select((state, i) => new VcpuRunner(state.Vcpu, guest, state.Capture, new End(ends, i))).ToList();
        runners.ForEach(runner => runner.RequestResume(0));
        var threads = runners.Select(runner => new Thread(runner.Run) { IsBackground = true }).ToList();
        threads.ForEach(thread => thread.Start());
        using var never = new ManualResetEventSlim();
        Assert.False(never.Wait(time));
        runners.ForEach(runner => runner.RequestStop());
        Assert.All(threads, thread => Assert.True(thread.Join(TimeSpan.FromSeconds(30)), "a vCPU did not stop"));
        Assert.All(ends.Reasons, reason => Assert.Equal("was stopped", reason));
    }

    private sealed class Ends(int vcpus)
    {
        public string?[] Reasons { get; } = new string?[vcpus];
    }

    private sealed class End(Ends ends, int vcpu) : IVcpuObserver
    {
        public void OnStopped() => ends.Reasons[vcpu] = "was stopped";

        public void OnEnded(string reason, Exception? failure) => ends.Reasons[vcpu] = failure?.Message ?? reason;

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
