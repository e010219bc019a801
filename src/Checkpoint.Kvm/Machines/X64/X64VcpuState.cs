using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>An x86 vCPU's state: structs, and MSRs in batches.</summary>
internal sealed class X64VcpuState : VcpuState
{
    private const uint Tsc = 0x10;
    private const uint TscDeadline = 0x6e0;

    private readonly X64StatePlan _plan;
    private readonly byte[][] _groups;
    private readonly byte[][] _msrs;
    private readonly byte[] _tscKhz = new byte[4];

    public X64VcpuState(IVcpu vcpu, X64StatePlan plan)
        : base(vcpu)
    {
        _plan = plan;
        _groups = [.. plan.Groups.Select(group => GC.AllocateArray<byte>(group.Size, pinned: true))];
        _msrs = X64StatePlan.MsrBuffers(plan.Msrs);
        ReadTscKhz();
    }

    /// <inheritdoc/>
    public override string Batching => "msrs";

    /// <inheritdoc/>
    public override void Capture()
    {
        for (var i = 0; i < _groups.Length; i++)
            Vcpu.Get(_plan.Groups[i].Get, _groups[i]);
        for (var i = 0; i < _msrs.Length; i++)
        {
            var read = Vcpu.GetMsrs(_msrs[i]);
            var count = X64StatePlan.MsrCount(_msrs[i]);
            if (read < count)
                throw Refused("KVM_GET_MSRS", _msrs[i], read);
        }
    }

    /// <inheritdoc/>
    public override StateList ToStateList()
    {
        var items = new List<StateItem>(_groups.Length + _plan.Msrs.Length + 1);
        for (var i = 0; i < _groups.Length; i++)
            items.Add(new StateItem(_plan.Groups[i].Id, _groups[i].ToArray()));
        foreach (var buffer in _msrs)
        {
            for (var entry = 0; entry < X64StatePlan.MsrCount(buffer); entry++)
                items.Add(new StateItem(StateIds.X64Msr(X64StatePlan.MsrIndex(buffer, entry)), X64StatePlan.MsrValue(buffer, entry).ToArray()));
        }

        if (Vcpu.CheckExtension(KvmCapability.GetTscKhz) > 0)
            items.Add(new StateItem(StateIds.X64TscKhz, _tscKhz.ToArray()));
        return StateList.Create(items);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// CPUID is set when the vCPU is made: later changes fail with EINVAL, and it decides which of the values below are
    /// allowed.
    /// </remarks>
    public override IReadOnlyList<RegisterRefusal> Restore(StateList state)
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
        RestoreMsrs(state, refusals);

        // After REGS, which clears a pending exception.
        RestoreGroup(StateIds.X64VcpuEvents, state, refusals);

        // The guest's watchdogs are told that it was stopped. EINVAL: the guest has no kvmclock, so there is nobody to tell.
        if (Vcpu.CheckExtension(KvmCapability.KvmclockCtrl) > 0)
            Attempt(() => Vcpu.Call(KvmRequests.KvmclockCtrl, 0));
        return refusals;
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

        var errno = Attempt(() => Vcpu.Set(group.Set, wanted.Span));
        if (errno != 0)
            refusals.Add(new RegisterRefusal(Vcpu.Index, X64Fields.NameOf(id), id, wanted, default, errno));
    }

    private void RestoreMsrs(StateList state, List<RegisterRefusal> refusals)
    {
        var ordered = state
            .Where(item => (item.Id & 0xffff_ffff_0000_0000) == StateIds.X64MsrBase)
            .Select(item => (Index: (uint)item.Id, item.Value))
            .OrderBy(msr => msr.Index switch { Tsc => 0, TscDeadline => 2, _ => 1 })
            .ToList();
        while (ordered.Count > 0)
        {
            var buffer = X64StatePlan.MsrBuffers(ordered.Select(msr => msr.Index))[0];
            var count = X64StatePlan.MsrCount(buffer);
            for (var i = 0; i < count; i++)
                ordered[i].Value.Span.CopyTo(X64StatePlan.MsrValue(buffer, i));

            var written = Vcpu.SetMsrs(buffer);
            if (written < count)
            {
                // The call stops at a refused MSR without an errno; asked for alone it would be EINVAL.
                var (index, value) = ordered[written];
                refusals.Add(new RegisterRefusal(Vcpu.Index, X64MsrNames.NameOf(index), StateIds.X64Msr(index), value, default, Errno.EINVAL));
                written++;
            }

            ordered.RemoveRange(0, written);
        }
    }

    private KvmException Refused(string request, ReadOnlySpan<byte> buffer, int done)
    {
        var index = X64StatePlan.MsrIndex(buffer, done);
        return new KvmException(request, Errno.EINVAL, Vcpu.Index, $"{X64MsrNames.NameOf(index)} (0x{index:x})", $"{done} of {X64StatePlan.MsrCount(buffer)} read");
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
