using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Whole machines on every kernel: guests that run and are parked, states that are carried over.</summary>
public abstract class MachineContract : IDisposable
{
    private readonly IKvm _kvm;

    private readonly MachineArchitecture _architecture;

    protected MachineContract(IKvm kvm, MachineArchitecture architecture = MachineArchitecture.X64)
    {
        _kvm = kvm;
        _architecture = architecture;
    }

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_counter_that_is_parked_at_any_moment_is_consistent() => ParkManyTimes(GuestKind.Counter);

    [ContractFact]
    public void A_ledger_that_is_parked_at_any_moment_is_consistent() => ParkManyTimes(GuestKind.Ledger);

    [ContractFact]
    public void A_state_that_is_set_on_a_fresh_machine_is_the_state_that_was_saved()
    {
        foreach (var kind in (GuestKind[])[GuestKind.Counter, GuestKind.Ledger])
        {
            using var guest = Create(kind, InterruptChip.Full);
            using (var run = new ParkedRun(guest))
                run.RunForAMoment(20_000);
            var document = Capture(guest.Machine);

            using var machine = MachineBuilder.Create(_kvm, guest.Machine.Description);
            machine.Memory.Write(0, guest.Machine.Memory.ReadBytes(0, GuestOptions.DefaultMemoryBytes));
            Assert.Empty(machine.Restore(document, ClockPolicy.Freeze, default, default).Refusals);

            // And the guest goes on there from where it stood.
            using var restored = GuestMachine.Restore(machine, guest.CaptureDevice().Span);
            var at = restored.Verify();
            Assert.Empty(at.Failures);
            using (var run = new ParkedRun(restored))
                RunUntilAllHaveMoved(run, restored, at);
        }
    }

    [ContractFact]
    public void Every_way_of_batching_reads_and_sets_the_same_bytes()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        var vcpu = guest.Machine.Vcpus[0].Vcpu;
        var isX64 = _architecture == MachineArchitecture.X64;
        // Counters go on between two reads; the vector lengths can't be set any more.
        ulong[] leftOut = [StateIds.X64Msr(0x10), Arm64SystemRegisters.IdOf("CNTVCT_EL0"), Arm64SystemRegisters.IdOf("CNTPCT_EL0"), Arm64Registers.SveLengths];
        ulong[] ids = [.. (isX64 ? MsrsImage.Readable(vcpu, _kvm.GetMsrIndexList()) : vcpu.GetRegList()).Except(leftOut)];
        var ways = new List<RegisterBatching> { RegisterBatching.OneReg };
        if (isX64)
            ways.Add(RegisterBatching.Msrs);
        if (RegisterBatchings.HasManyRegs(vcpu))
            ways.Add(RegisterBatching.ManyRegs);
        var images = ways.Select(way => RegisterImage.Create(way, ids)).ToArray();
        byte[][]? expected = null;
        foreach (var image in images)
        {
            image.Read(vcpu);
            var values = Enumerable.Range(0, ids.Length).Select(i => image.ValueOf(i).ToArray()).ToArray();
            expected ??= values;
            Assert.Equal(expected, values);
            Assert.Empty(image.Write(vcpu));
        }
    }

    private static StateDocument Capture(Machine machine)
    {
        foreach (var vcpu in machine.Vcpus)
            vcpu.Capture();
        machine.CaptureVm();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [.. machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);
    }

    private GuestMachine Create(GuestKind kind, InterruptChip chip) =>
        GuestMachine.Create(_kvm, kind, new GuestOptions { Architecture = _architecture, Vcpus = 2, Seed = 7, ExitEverySteps = 1 << 12 }, chip);

    private void ParkManyTimes(GuestKind kind)
    {
        using var guest = Create(kind, InterruptChip.None);
        var start = guest.Verify();
        var random = new Random(11);
        using var run = new ParkedRun(guest);
        for (var round = 0; round < 40; round++)
        {
            run.RunForAMoment(random.Next(6_000));
            Assert.Empty(guest.Verify().Failures);
        }

        RunUntilAllHaveMoved(run, guest, start);
    }

    // A moment may be over before a loaded host has let each vCPU run.
    private static void RunUntilAllHaveMoved(ParkedRun run, GuestMachine guest, GuestVerdict start)
    {
        for (var round = 0; round < 200; round++)
        {
            run.RunForAMoment(20_000);
            var verdict = guest.Verify();
            Assert.Empty(verdict.Failures);
            if (verdict.FailuresSince(start).Count == 0)
                return;
        }

        Assert.Empty(guest.Verify().FailuresSince(start));
    }
}
