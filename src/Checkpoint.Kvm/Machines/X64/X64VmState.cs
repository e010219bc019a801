using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>What belongs to the VM and to no vCPU: its clock and its interrupt chips.</summary>
internal sealed class X64VmState
{
    // struct kvm_clock_data: clock, flags, pad, realtime, host_tsc.
    private const int ClockFlagsOffset = 8;
    private const uint ClockRealtime = 1 << 2;
    private const int ClockRealtimeOffset = 16;

    private readonly IVm _vm;
    private readonly List<(X64Group Group, byte[] Buffer)> _groups = [];

    public X64VmState(IVm vm, InterruptChip chip)
    {
        _vm = vm;
        if (chip == InterruptChip.Full)
            Add(StateIds.X64Pit2, KvmRequests.GetPit2, KvmRequests.SetPit2);

        // The clock after the PIT, whose ticks are measured on it.
        if (vm.CheckExtension(KvmCapability.AdjustClock) > 0)
            Add(StateIds.X64Clock, KvmRequests.GetClock, KvmRequests.SetClock);
        if (chip == InterruptChip.Full)
        {
            // The PICs before the IOAPIC, into which their output goes. chip_id says which one a call is about.
            Add(StateIds.X64PicMaster, KvmRequests.GetIrqchip, KvmRequests.SetIrqchip, chipId: 0);
            Add(StateIds.X64PicSlave, KvmRequests.GetIrqchip, KvmRequests.SetIrqchip, chipId: 1);
            Add(StateIds.X64Ioapic, KvmRequests.GetIrqchip, KvmRequests.SetIrqchip, chipId: 2);
        }
    }

    /// <summary>The guest clock that the last capture read, in nanoseconds.</summary>
    public long? GuestClockNs
    {
        get
        {
            foreach (var (group, buffer) in _groups)
            {
                if (group.Id == StateIds.X64Clock)
                    return BinaryPrimitives.ReadInt64LittleEndian(buffer);
            }

            return null;
        }
    }

    /// <summary>Reads all into the buffers.</summary>
    public void Capture()
    {
        foreach (var (group, buffer) in _groups)
            _vm.Get(group.Get, buffer);
    }

    /// <summary>What the last capture read.</summary>
    public StateList ToStateList() =>
        StateList.Create(_groups.Select(each => new StateItem(each.Group.Id, each.Buffer.ToArray())));

    /// <summary>Sets the clock, before the vCPUs, whose TSC offsets follow from it.</summary>
    /// <returns>The clock and the host's TSC at the checkpoint and now; null where either kernel gave no TSC with its clock.</returns>
    public (X64ClockReading Saved, X64ClockReading Now)? RestoreClock(
        StateList state, ClockPolicy clock, DateTimeOffset takenAt, DateTimeOffset now, List<RegisterRefusal> refusals)
    {
        foreach (var (group, buffer) in _groups)
        {
            if (group.Id != StateIds.X64Clock || !state.TryGet(group.Id, out var wanted) || wanted.Length != buffer.Length)
                continue;
            Set(group, ClockFor(wanted.Span, clock, takenAt, now), wanted, refusals);
            _vm.Get(group.Get, buffer);
            return (X64ClockReading.From(wanted.Span), X64ClockReading.From(buffer)) is ({ } then, { } here) ? (then, here) : null;
        }

        return null;
    }

    /// <summary>Sets all but the clock; goes on past what is refused.</summary>
    public void Restore(StateList state, List<RegisterRefusal> refusals)
    {
        foreach (var (group, buffer) in _groups)
        {
            // What is missing or has another size, the comparison names.
            if (group.Id != StateIds.X64Clock && state.TryGet(group.Id, out var wanted) && wanted.Length == buffer.Length)
                Set(group, wanted.Span, wanted, refusals);
        }
    }

    private void Set(in X64Group group, ReadOnlySpan<byte> value, ReadOnlyMemory<byte> wanted, List<RegisterRefusal> refusals)
    {
        try
        {
            _vm.Set(group.Set, value);
        }
        catch (KvmException refused)
        {
            refusals.Add(new RegisterRefusal(null, X64Fields.NameOf(group.Id), group.Id, wanted, default, refused.Errno));
        }
    }

    // KVM_SET_CLOCK takes no flag but KVM_CLOCK_REALTIME, with which the kernel adds the time since the save by itself; the
    // engine adds it here, so that it works on kernels without that flag too.
    private static byte[] ClockFor(ReadOnlySpan<byte> saved, ClockPolicy policy, DateTimeOffset takenAt, DateTimeOffset now)
    {
        var value = saved.ToArray();
        var flags = BinaryPrimitives.ReadUInt32LittleEndian(value.AsSpan(ClockFlagsOffset));
        if (policy == ClockPolicy.Advance)
        {
            var nowNs = (now - DateTimeOffset.UnixEpoch).Ticks * 100;
            var thenNs = (flags & ClockRealtime) != 0
                ? BinaryPrimitives.ReadInt64LittleEndian(value.AsSpan(ClockRealtimeOffset))
                : (takenAt - DateTimeOffset.UnixEpoch).Ticks * 100;
            // A host whose wall clock is behind the checkpoint's must not turn the guest's clock back.
            var clock = BinaryPrimitives.ReadInt64LittleEndian(value) + Math.Max(0, nowNs - thenNs);
            BinaryPrimitives.WriteInt64LittleEndian(value, clock);
        }

        value.AsSpan(ClockFlagsOffset).Clear();
        return value;
    }

    private void Add(ulong id, KvmRequest get, KvmRequest set, uint chipId = 0)
    {
        var buffer = GC.AllocateArray<byte>(get.ArgumentSize, pinned: true);
        if (get.Code == KvmRequests.GetIrqchip.Code)
            BinaryPrimitives.WriteUInt32LittleEndian(buffer, chipId);
        _groups.Add((new X64Group(id, get, set, get.ArgumentSize), buffer));
    }
}
