using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>What a hypervisor inside the guest is doing, whose struct is as long as what it does.</summary>
public sealed class NestedStateTests
{
    private const int Long = 128 + 4096;

    [Fact]
    public void A_nested_state_is_carried_over_at_its_own_length()
    {
        using var kvm = new SimulatedKvm(new() { NestedState = true });
        using var machine = Create(kvm);
        var state = Running(machine);
        using var fresh = X64Machine.Create(kvm, machine.Description);
        Assert.Empty(fresh.Restore(Capture(machine), ClockPolicy.Freeze, default, default).Refusals);
        var found = Read(fresh);
        Assert.Equal(Long, BinaryPrimitives.ReadInt32LittleEndian(found.AsSpan(4)));
        Assert.Equal(state, found[..Long]);
    }

    [Fact]
    public void A_state_that_became_shorter_leaves_nothing_of_the_longer_one()
    {
        using var kvm = new SimulatedKvm(new() { NestedState = true });
        using var machine = Create(kvm);
        using var fresh = X64Machine.Create(kvm, machine.Description);
        var atRest = Read(machine);
        Running(machine);
        Capture(machine);
        machine.Vcpus[0].Vcpu.Set(KvmRequests.SetNestedState, atRest);
        var saved = Capture(machine);
        Assert.Empty(fresh.Restore(saved, ClockPolicy.Freeze, default, default).Refusals);
        Assert.True(saved.Vcpus[0].TryGet(StateIds.X64NestedState, out var value));
        Assert.Equal(-1, value.Span[128..].IndexOfAnyExcept((byte)0));
    }

    [Fact]
    public void A_host_without_nested_virtualization_refuses_the_state_by_name()
    {
        using var kvm = new SimulatedKvm(new() { NestedState = true });
        using var machine = Create(kvm);
        using var plain = new SimulatedKvm();
        using var fresh = Create(plain);
        var refusals = fresh.Restore(Capture(machine), ClockPolicy.Freeze, default, default).Refusals;
        Assert.Equal(["NESTED_STATE"], refusals.Select(each => each.Register));
    }

    private static X64Machine Create(SimulatedKvm kvm) => X64Machine.Create(kvm, X64Machine.Describe(kvm, 1, 1 << 20, InterruptChip.Full));

    private static byte[] Running(X64Machine machine)
    {
        var state = new byte[Long];
        for (var i = 24; i < Long; i++)
            state[i] = (byte)(i * 7);
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(4), Long);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(8), 0x5000);
        BinaryPrimitives.WriteUInt64LittleEndian(state.AsSpan(16), 0x6000);
        machine.Vcpus[0].Vcpu.Set(KvmRequests.SetNestedState, state);
        return state;
    }

    private static byte[] Read(X64Machine machine)
    {
        var vcpu = machine.Vcpus[0].Vcpu;
        var state = new byte[vcpu.CheckExtension(KvmCapability.NestedState)];
        BinaryPrimitives.WriteInt32LittleEndian(state.AsSpan(4), state.Length);
        vcpu.Get(KvmRequests.GetNestedState, state);
        return state;
    }

    private static StateDocument Capture(X64Machine machine)
    {
        machine.Vcpus[0].Capture();
        machine.CaptureVm();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [machine.Vcpus[0].ToStateList()], []);
    }
}
