using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

/// <summary>Guests of an arm64 machine's own KVM under their virtual timers and a GICv3.</summary>
[NeedsArm64Kernel]
public sealed class Arm64TimerTests : IDisposable
{
    private const ulong TimerEnabled = 1;
    private const ulong TimerFired = 4;

    private readonly IKvm _kvm = Agents.Arm64();

    public void Dispose() => _kvm.Dispose();

    [ContractFact]
    public void Ticks_are_consistent_wherever_the_guest_is_parked()
    {
        using var guest = Create(2);
        var start = guest.Verify();
        using var run = new ParkedRun(guest);
        RunUntilAllHaveMoved(run, guest, start);
        for (var round = 0; round < 20; round++)
        {
            run.RunForAMoment(2_000 * round);
            Assert.Equal([], guest.Verify().Failures);
        }
    }

    [ContractFact]
    public void A_timer_interrupt_that_is_pending_at_the_save_fires_after_the_restore()
    {
        using var guest = Create(2);
        var start = guest.Verify();
        StateDocument document;
        using (var run = new ParkedRun(guest))
        {
            // The counter goes on while the vCPUs are parked, so their timers have fired by now, and nobody has taken the interrupts.
            RunUntilAllHaveMoved(run, guest, start);
            do
            {
                run.RunForAMoment(1_000);
                Thread.SpinWait(200_000);
                document = Capture(guest.Machine);
            }
            while (document.Vcpus.Any(vcpu => Word(vcpu, "CNTV_CTL_EL0") != (TimerEnabled | TimerFired) || IsInHandler(guest, vcpu)));
        }

        using var machine = MachineBuilder.Create(_kvm, document.Machine);
        machine.Memory.Write(0, guest.Machine.Memory.ReadBytes(0, GuestOptions.DefaultMemoryBytes));
        Assert.Equal([], machine.Restore(document, ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
        using var restored = GuestMachine.Restore(machine, guest.CaptureDevice().Span);
        var at = restored.Verify();
        Assert.Equal([], at.Failures);
        Assert.All(at.Ticks, ticks => Assert.NotEqual(0ul, ticks));
        using (var run = new ParkedRun(restored))
            RunUntilAllHaveMoved(run, restored, at);
    }

    [ContractFact]
    public void Wherever_it_was_parked_a_restored_guest_ticks_on()
    {
        using var guest = Create(1);
        using var run = new ParkedRun(guest);
        RunUntilAllHaveMoved(run, guest, guest.Verify());
        for (var round = 0; round < 12; round++)
        {
            run.RunForAMoment(50_000 * round);
            var document = Capture(guest.Machine);
            using var machine = MachineBuilder.Create(_kvm, document.Machine);
            machine.Memory.Write(0, guest.Machine.Memory.ReadBytes(0, guest.Program.UsedMemoryBytes));
            Assert.Equal([], machine.Restore(document, ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
            using var restored = GuestMachine.Restore(machine, guest.CaptureDevice().Span);
            var at = restored.Verify();
            Assert.Equal([], at.Failures);
            using var second = new ParkedRun(restored);
            RunUntilAllHaveMoved(second, restored, at);
        }
    }

    [ContractFact]
    public void A_clock_that_advances_moves_the_counter_by_the_time_that_passed()
    {
        using var guest = Create(1);
        var document = Capture(guest.Machine);
        var later = TimeSpan.FromHours(3);
        using var machine = MachineBuilder.Create(_kvm, document.Machine);
        Assert.Equal([], machine.Restore(document, ClockPolicy.Advance, DateTimeOffset.UnixEpoch, DateTimeOffset.UnixEpoch + later).Refusals.Select(each => each.ToString()));
        var after = Capture(machine);
        var seconds = (Word(after.Vcpus[0], "CNTVCT_EL0") - Word(document.Vcpus[0], "CNTVCT_EL0")) / (double)_kvm.CounterHz;
        Assert.InRange(seconds, later.TotalSeconds, later.TotalSeconds + 60);
    }

    [ContractFact]
    public void A_gic_gives_back_what_was_set()
    {
        using var guest = Create(2);
        var document = Capture(guest.Machine);
        var changed = Change(document.Vm, [
            ("gicd_igroupr1", 0xffff_ffff), ("gicd_icfgr2", 0x8), ("gicd_isenabler1", 0x12), ("gicd_ispendr1", 0x2), ("gicd_isactiver2", 0x40),
            ("gicd_ipriorityr9", 0x80a0_c0e0), ("gicd_irouter40", 0x1), ("gicd_level32", 0x10), ("gicd_ctlr", 0x52), ("gicr1.igroupr0", 0xffff_ffff),
            ("gicr1.isenabler0", 0x0800_0001), ("gicr1.ispendr0", 0x2), ("gicr0.level0", 0x0800_0000), ("gicc0.icc_pmr_el1", 0xf0),
            ("gicc1.icc_igrpen1_el1", 1), ("gicc1.icc_bpr1_el1", 5), ("gicc0.icc_ap1r0_el1", 0x10)]);
        using var machine = MachineBuilder.Create(_kvm, document.Machine);
        var report = machine.Restore(document with { Vm = changed }, ClockPolicy.Freeze, default, default);
        Assert.Equal([], report.Refusals.Select(each => each.ToString()));
    }

    [ContractFact]
    public void A_revision_of_the_gic_that_the_kernel_does_not_know_is_refused_by_name()
    {
        using var guest = Create(1);
        var document = Capture(guest.Machine);
        using var machine = MachineBuilder.Create(_kvm, document.Machine);
        var report = machine.Restore(document with { Vm = Change(document.Vm, [("gicd_iidr", 0x4b00_f43b)]) }, ClockPolicy.Freeze, default, default);
        var refusal = Assert.Single(report.Refusals);
        Assert.Equal(("gicd_iidr", Errno.EINVAL), (refusal.Register, refusal.Errno));
    }

    private static bool IsInHandler(GuestMachine guest, StateList vcpu) =>
        Arm64GuestRegisters.Of(vcpu).Pc >= guest.Program.LoopEnd;

    private static StateDocument Capture(Machine machine)
    {
        foreach (var vcpu in machine.Vcpus)
            vcpu.Capture();
        machine.CaptureVm();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [.. machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);
    }

    private static ulong Word(StateList state, string name) =>
        state.TryGet(Arm64SystemRegisters.IdOf(name), out var value) ? BinaryPrimitives.ReadUInt64LittleEndian(value.Span) : throw new KeyNotFoundException(name);

    private static StateList Change(StateList state, (string Name, uint Value)[] changes)
    {
        foreach (var (name, value) in changes)
        {
            Assert.True(RegisterNames.TryParse(name, out var id), name);
            Assert.True(state.TryGet(id, out var old), name);
            var bytes = new byte[old.Length];
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
            state = StateList.Create(state.Select(item => item.Id == id ? item with { Value = bytes } : item));
        }

        return state;
    }

    private static void RunUntilAllHaveMoved(ParkedRun run, GuestMachine guest, GuestVerdict start)
    {
        for (var round = 0; round < 200; round++)
        {
            run.RunForAMoment(1_000_000);
            var verdict = guest.Verify();
            Assert.Equal([], verdict.Failures);
            if (verdict.FailuresSince(start).Count == 0)
                return;
        }

        Assert.Equal([], guest.Verify().FailuresSince(start));
    }

    private GuestMachine Create(int vcpus) => GuestMachine.Create(
        _kvm, GuestKind.Timer, new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = vcpus, Seed = 7 });
}
