using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>An x86 vCPU's state: structs, and MSRs in batches.</summary>
internal sealed class X64VcpuState : VcpuState
{
    private const ulong Tsc = StateIds.X64MsrBase | 0x10;
    private const ulong TscDeadline = StateIds.X64MsrBase | 0x6e0;

    private const int NestedSizeOffset = 4;

    private readonly X64StatePlan _plan;
    private readonly byte[][] _groups;
    private readonly RegisterImage _msrs;
    private readonly byte[] _tscKhz = new byte[4];
    private readonly byte[] _hostTscKhz;
    private readonly X64SyncRegs? _syncRegs;
    private ulong _tscOffset;

    public X64VcpuState(IVcpu vcpu, X64StatePlan plan)
        : base(vcpu)
    {
        _plan = plan;
        _groups = [.. plan.Groups.Select(group => GC.AllocateArray<byte>(group.Size, pinned: true))];
        _msrs = RegisterImage.Create(plan.Batching, plan.Msrs);
        _syncRegs = X64SyncRegs.Over(plan, _groups);
        ReadTscKhz();
        _hostTscKhz = [.. _tscKhz];
    }

    /// <inheritdoc/>
    public override string Batching => RegisterBatchings.NameOf(_plan.Batching);

    /// <summary>What of the last capture came with a KVM_RUN.</summary>
    public X64Synced Synced { get; private set; }

    /// <inheritdoc/>
    public override void Capture()
    {
        Synced = X64Synced.Nothing;
        for (var i = 0; i < _groups.Length; i++)
        {
            if (X64SyncRegs.Holds(Synced, _plan.Groups[i].Id))
                continue;

            // A deadline that is reached between the two is then in both, and fires once more; the other way round it would be in neither.
            if (_plan.Groups[i].Id == StateIds.X64Lapic)
                _msrs.Read(Vcpu);
            if (_plan.Groups[i].Id == StateIds.X64NestedState)
                CaptureNested(_groups[i]);
            else
                Vcpu.Get(_plan.Groups[i].Get, _groups[i]);
            if (_plan.Groups[i].Id == StateIds.X64MpState && _syncRegs is not null)
                Synced = _syncRegs.Capture(Vcpu);
        }

        if (!_plan.HasLapic)
            _msrs.Read(Vcpu);
        if (_plan.HasTscOffset)
            _tscOffset = X64StatePlan.GetTscOffset(Vcpu);
    }

    /// <inheritdoc/>
    public override StateList ToStateList()
    {
        var items = new List<StateItem>(_groups.Length + _msrs.Ids.Count + 1);
        for (var i = 0; i < _groups.Length; i++)
        {
            var group = _groups[i].ToArray();
            if (_plan.Groups[i].Id == StateIds.X64VcpuEvents)
                X64PendingException.LeaveOutWhereInvalid(group);
            items.Add(new StateItem(_plan.Groups[i].Id, group));
        }

        for (var i = 0; i < _msrs.Ids.Count; i++)
            items.Add(new StateItem(_msrs.Ids[i], _msrs.ValueOf(i).ToArray()));
        if (Vcpu.CheckExtension(KvmCapability.GetTscKhz) > 0)
            items.Add(new StateItem(StateIds.X64TscKhz, _tscKhz.ToArray()));
        if (_plan.HasTscOffset)
            items.Add(new StateItem(StateIds.X64TscOffset, BitConverter.GetBytes(_tscOffset)));
        return StateList.Create(items);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// CPUID is set when the vCPU is made: later changes fail with EINVAL, and it decides which of the values below are
    /// allowed.
    /// </remarks>
    public override IReadOnlyList<RegisterRefusal> Restore(StateList state) => Restore(state, null);

    /// <summary>As <see cref="Restore(StateList)"/>, with the TSC going on from where it and the clock were.</summary>
    /// <param name="state">What to set.</param>
    /// <param name="clocks">The clock and the host's TSC at the checkpoint and now; null leaves the TSC to its MSR.</param>
    public IReadOnlyList<RegisterRefusal> Restore(StateList state, (X64ClockReading Saved, X64ClockReading Now)? clocks)
    {
        var refusals = new List<RegisterRefusal>();

        // Before the TSC's value, which counts at this frequency.
        RestoreTscKhz(state, refusals);

        // Before the registers: setting it may reset what they hold.
        RestoreGroup(StateIds.X64MpState, state, refusals);
        RestoreGroup(StateIds.X64Regs, state, refusals);

        // The one that this kernel has; it carries the APIC's base address, which the LAPIC needs.
        RestoreGroup(StateIds.X64Sregs, state, refusals);
        RestoreGroup(StateIds.X64Sregs2, state, refusals);
        RestoreGroup(StateIds.X64Xsave, state, refusals);
        RestoreGroup(StateIds.X64Xcrs, state, refusals);
        RestoreGroup(StateIds.X64DebugRegs, state, refusals);

        // After SREGS, for the base address; before the MSRs, because the deadline timer needs the LAPIC in TSC-deadline mode.
        RestoreGroup(StateIds.X64Lapic, state, refusals);

        // TSC before the deadline that is measured on it, the deadline last of all: set too early it is dropped silently.
        var hasTsc = clocks is { } pair && RestoreTscOffset(state, pair.Saved, pair.Now, refusals);
        RestoreMsrs(state, withTsc: !hasTsc, refusals);

        // After SREGS and the MSRs, which switch virtualization on for the guest (as the kernel's selftests do).
        RestoreGroup(StateIds.X64NestedState, state, refusals);

        // After REGS, which clears a pending exception.
        RestoreGroup(StateIds.X64VcpuEvents, state, refusals);

        // The guest's watchdogs are told that it was stopped. EINVAL: the guest has no kvmclock, so there is nobody to tell.
        if (Vcpu.CheckExtension(KvmCapability.KvmclockCtrl) > 0)
            Attempt(() => Vcpu.Call(KvmRequests.KvmclockCtrl, 0));
        return refusals;
    }

    // struct kvm_nested_state says how much room there is, and the call puts in its place how much it took. What a longer state
    // left behind that is nobody's.
    private void CaptureNested(byte[] buffer)
    {
        var size = buffer.AsSpan(NestedSizeOffset);
        BinaryPrimitives.WriteInt32LittleEndian(size, buffer.Length);
        Vcpu.Get(KvmRequests.GetNestedState, buffer);
        buffer.AsSpan(BinaryPrimitives.ReadInt32LittleEndian(size)).Clear();
    }

    private void ReadTscKhz()
    {
        if (Vcpu.CheckExtension(KvmCapability.GetTscKhz) > 0)
            BinaryPrimitives.WriteInt32LittleEndian(_tscKhz, (int)Vcpu.Call(KvmRequests.GetTscKhz, 0));
    }

    private void RestoreTscKhz(StateList state, List<RegisterRefusal> refusals)
    {
        if (!state.TryGet(StateIds.X64TscKhz, out var wanted) || wanted.Span.SequenceEqual(_tscKhz))
            return;
        var errno = Attempt(() => Vcpu.Call(KvmRequests.SetTscKhz, BinaryPrimitives.ReadUInt32LittleEndian(wanted.Span)));
        if (errno != 0)
            refusals.Add(new RegisterRefusal(Vcpu.Index, "tsc_khz", StateIds.X64TscKhz, wanted, _tscKhz.ToArray(), errno));
        else
            ReadTscKhz();
    }

    // Only between equal frequencies: with others the kernel scales the host's TSC by what it keeps to itself.
    private bool RestoreTscOffset(StateList state, X64ClockReading saved, X64ClockReading now, List<RegisterRefusal> refusals)
    {
        if (!_plan.HasTscOffset || !state.TryGet(StateIds.X64TscOffset, out var wanted) || wanted.Length != sizeof(ulong)
            || !state.TryGet(StateIds.X64TscKhz, out var khz) || !khz.Span.SequenceEqual(_hostTscKhz))
        {
            return false;
        }

        var offset = now.OffsetAfter(
            BinaryPrimitives.ReadUInt64LittleEndian(wanted.Span), saved, BinaryPrimitives.ReadUInt32LittleEndian(khz.Span));
        var errno = Attempt(() => X64StatePlan.SetTscOffset(Vcpu, offset));
        if (errno != 0)
            refusals.Add(new RegisterRefusal(Vcpu.Index, "TSC_OFFSET", StateIds.X64TscOffset, wanted, default, errno));

        // Software backends of KVM take an offset and keep none: the guest sees the host's TSC.
        return errno == 0 && X64StatePlan.GetTscOffset(Vcpu) == offset;
    }

    private void RestoreGroup(ulong id, StateList state, List<RegisterRefusal> refusals)
    {
        if (!state.TryGet(id, out var wanted))
            return;
        var group = _plan.Groups.FirstOrDefault(each => each.Id == id);
        if (group.Size != wanted.Length)
        {
            // This kernel has no such struct, or one of another size: the comparison names it.
            return;
        }

        // struct kvm_nested_state says its own size, which must not lead the kernel behind it.
        if (id == StateIds.X64NestedState && BinaryPrimitives.ReadUInt32LittleEndian(wanted.Span[NestedSizeOffset..]) > wanted.Length)
        {
            refusals.Add(new RegisterRefusal(Vcpu.Index, X64Fields.NameOf(id), id, wanted, default, Errno.EINVAL));
            return;
        }

        var errno = Attempt(() => Vcpu.Set(group.Set, wanted.Span));
        if (errno != 0)
            refusals.AddRange(X64GroupRefusal.Find(Vcpu, group, wanted, errno));
        else if (id is StateIds.X64Sregs or StateIds.X64Sregs2 && X64EferCheck.Find(Vcpu, _plan.Batching, id, wanted) is { } refused)
            refusals.Add(refused);
    }

    private void RestoreMsrs(StateList state, bool withTsc, List<RegisterRefusal> refusals)
    {
        var ordered = state
            .Where(item => (withTsc || item.Id != Tsc) && (item.Id & StateIds.X64MsrMask) == StateIds.X64MsrBase && item.Value.Length == sizeof(ulong))
            .OrderBy(item => item.Id switch { Tsc => 0, TscDeadline => 2, _ => 1 })
            .ToList();
        var image = RegisterImage.Create(_plan.Batching, ordered.Select(item => item.Id));
        for (var i = 0; i < ordered.Count; i++)
            ordered[i].Value.Span.CopyTo(image.ValueOf(i));
        var refused = image.Write(Vcpu);
        refusals.AddRange(refused
            .Where(each => !Holds(ordered[each.Index]))
            .Select(each => RegisterRefusal.InBatch(Vcpu.Index, ordered[each.Index], each.Errno, ordered.Count - refused.Count, ordered.Count)));
    }

    // KVM refuses some MSRs whatever the value, even the one that they have: KVM_ASYNC_PF_INT without a local APIC in the kernel.
    private bool Holds(StateItem wanted)
    {
        var alone = RegisterImage.Create(_plan.Batching, [wanted.Id]);
        return Attempt(() => alone.Read(Vcpu)) == 0 && alone.ValueOf(0).SequenceEqual(wanted.Value.Span);
    }

    private static int Attempt(Action call)
    {
        try
        {
            call();
            return 0;
        }
        catch (KvmException refused)
        {
            return refused.Errno;
        }
    }
}
