using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>A vCPU's TSC and the guest's clock stand to each other after a restore as they stood at the checkpoint.</summary>
public abstract class TscContract : IDisposable
{
    private readonly IKvm _kvm;

    protected TscContract(IKvm kvm)
    {
        _kvm = kvm;
    }

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void The_offset_that_a_restore_sets_keeps_the_tsc_in_step_with_the_clock()
    {
        using var guest = GuestMachine.Create(_kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2, Seed = 3 }, InterruptChip.Full);
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(20_000);
        var saved = Capture(guest.Machine);
        using var machine = MachineBuilder.Create(_kvm, guest.Machine.Description);
        Assert.Empty(machine.Restore(saved, ClockPolicy.Freeze, default, default).Refusals);
        var found = Capture(machine);
        if (!KeepsOffsets())
            return;
        for (var i = 0; i < saved.Vcpus.Length; i++)
        {
            var khz = Word32(saved.Vcpus[i], StateIds.X64TscKhz);
            var (before, after) = (GuestTicks(saved, i, khz), GuestTicks(found, i, khz));
            // What the TSC has gone on by is what the clock has gone on by, to a microsecond.
            Assert.InRange((long)(after - before), -(khz / 1000), khz / 1000);
        }
    }

    /// <summary>Whether this kernel keeps an offset. Software backends take one and keep none: the restore is taken all the same.</summary>
    protected virtual bool KeepsOffsets()
    {
        using var vm = _kvm.CreateVm();
        using var vcpu = vm.CreateVcpu(0, 0);
        if (!vcpu.HasAttribute(0, 0))
            return false;
        var offset = vcpu.GetAttribute(0, 0);
        vcpu.SetAttribute(0, 0, offset + 1_000_000);
        return vcpu.GetAttribute(0, 0) == offset + 1_000_000;
    }

    // Where the TSC stood when the guest's clock was zero.
    private static ulong GuestTicks(StateDocument document, int vcpu, uint khz)
    {
        Assert.True(document.Vm.TryGet(StateIds.X64Clock, out var clock));
        var reading = Assert.NotNull(X64ClockReading.From(clock.Span));
        Assert.True(document.Vcpus[vcpu].TryGet(StateIds.X64TscOffset, out var offset));
        return unchecked(reading.HostTsc + BinaryPrimitives.ReadUInt64LittleEndian(offset.Span) - (ulong)((UInt128)reading.GuestNs * khz / 1_000_000));
    }

    private static uint Word32(StateList state, ulong id)
    {
        Assert.True(state.TryGet(id, out var value));
        return BinaryPrimitives.ReadUInt32LittleEndian(value.Span);
    }

    private static StateDocument Capture(Machine machine)
    {
        foreach (var vcpu in machine.Vcpus)
            vcpu.Capture();
        machine.CaptureVm();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [.. machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);
    }
}
