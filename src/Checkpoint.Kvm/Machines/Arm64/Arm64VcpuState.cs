using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>An arm64 vCPU's state: every register that its kernel lists, its pending events, and whether it runs.</summary>
internal sealed class Arm64VcpuState : VcpuState
{
    // The performance monitor's pairs: both read the same bits, one sets and one clears what is written.
    private static readonly HashSet<ulong> s_clearing =
    [
        Arm64SystemRegisters.IdOf("PMINTENCLR_EL1"), Arm64SystemRegisters.IdOf("PMCNTENCLR_EL0"), Arm64SystemRegisters.IdOf("PMOVSCLR_EL0"),
    ];

    private static readonly ulong[] s_timerControls = [Arm64SystemRegisters.IdOf("CNTV_CTL_EL0"), Arm64SystemRegisters.IdOf("CNTP_CTL_EL0")];

    private readonly RegisterImage _registers;
    private readonly byte[] _events;
    private readonly byte[] _mpState;

    /// <param name="vcpu">A vCPU that is initialised and, with SVE, finalized: before that the kernel gives no list (EPERM).</param>
    /// <param name="batching">How registers travel; null for the best way that the kernel has.</param>
    public Arm64VcpuState(IVcpu vcpu, RegisterBatching? batching)
        : base(vcpu)
    {
        _registers = RegisterImage.Create(batching ?? RegisterBatchings.BestOf(vcpu, MachineArchitecture.Arm64), vcpu.GetRegList().Order());
        _events = Buffer(vcpu, KvmCapability.VcpuEvents, KvmRequests.GetVcpuEvents);
        _mpState = Buffer(vcpu, KvmCapability.MpState, KvmRequests.GetMpState);
    }

    /// <inheritdoc/>
    public override string Batching => RegisterBatchings.NameOf(_registers.Batching);

    /// <inheritdoc/>
    public override void Capture()
    {
        _registers.Read(Vcpu);
        if (_events.Length > 0)
            Vcpu.Get(KvmRequests.GetVcpuEvents, _events);
        if (_mpState.Length > 0)
            Vcpu.Get(KvmRequests.GetMpState, _mpState);
    }

    /// <inheritdoc/>
    public override StateList ToStateList()
    {
        var items = new List<StateItem>(_registers.Ids.Count + 2);
        for (var i = 0; i < _registers.Ids.Count; i++)
            items.Add(new StateItem(_registers.Ids[i], _registers.ValueOf(i).ToArray()));
        if (_events.Length > 0)
            items.Add(new StateItem(Arm64StateIds.VcpuEvents, _events.ToArray()));
        if (_mpState.Length > 0)
            items.Add(new StateItem(Arm64StateIds.MpState, _mpState.ToArray()));
        return StateList.Create(items);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// The beginning of the order is in <see cref="Arm64Machine"/>, where vCPUs are made: KVM_ARM_VCPU_INIT, SVE_VLS,
    /// KVM_ARM_VCPU_FINALIZE.
    /// </remarks>
    public override IReadOnlyList<RegisterRefusal> Restore(StateList state)
    {
        var refusals = new List<RegisterRefusal>();
        RestoreRegisters(state, refusals);

        // After the registers: a pending SError is delivered by what they say (KVM_SET_VCPU_EVENTS, api.rst 4.32).
        RestoreGroup(Arm64StateIds.VcpuEvents, KvmRequests.SetVcpuEvents, _events.Length, state, refusals);

        // Last: a vCPU that the guest had switched off must not be runnable before all of it is there (api.rst 4.39).
        RestoreGroup(Arm64StateIds.MpState, KvmRequests.SetMpState, _mpState.Length, state, refusals);
        return refusals;
    }

    // One batch in the order of Rank. What this vCPU does not list is left out; the machine has compared the lists before.
    private void RestoreRegisters(StateList state, List<RegisterRefusal> refusals)
    {
        var listed = _registers.Ids.ToHashSet();
        var ordered = state.Where(item => listed.Contains(item.Id) && IsSet(item.Id)).OrderBy(item => Rank(item.Id)).ToList();
        var image = RegisterImage.Create(_registers.Batching, ordered.Select(item => item.Id));
        for (var i = 0; i < ordered.Count; i++)
        {
            // Where a write clears bits, all of them go, and the register beside it sets those that the checkpoint has. Older kernels
            // store what is written to either, and the second write is the one that stays.
            if (s_clearing.Contains(ordered[i].Id))
                image.ValueOf(i)[..sizeof(uint)].Fill(0xff);
            else
                ordered[i].Value.Span.CopyTo(image.ValueOf(i));
        }

        var refused = image.Write(Vcpu);
        refusals.AddRange(refused.Select(each =>
            RegisterRefusal.InBatch(Vcpu.Index, ordered[each.Index], each.Errno, ordered.Count - refused.Count, ordered.Count)));
    }

    private bool IsSet(ulong id)
    {
        // Set when the vCPU was made; after KVM_ARM_VCPU_FINALIZE it gives EPERM (api.rst 4.68).
        if (id == Arm64Registers.SveLengths)
            return false;

        // Since Linux 6.4 a counter's value sets an offset that all vCPUs of the VM share (as KVM_ARM_SET_COUNTER_OFFSET does):
        // the first vCPU sets it, and the later ones would each move it by the time in between.
        return Vcpu.Index == 0 || !Arm64Counter.IsCounter(id);
    }

    private static int Rank(ulong id) => new RegisterId(id).Kind switch
    {
        // Which hypercalls there are: EBUSY once any vCPU of the VM has run, so nothing may come before (api.rst, "arm64
        // firmware pseudo-registers", hypercalls.rst).
        RegisterKind.FirmwareBitmap => 0,

        // The PSCI version and the workarounds are part of what the guest was told at its boot.
        RegisterKind.Firmware => 1,

        // Since Linux 6.6 they can be written, and they decide which of the others exist and which bits those take. The host's
        // own identity (MIDR_EL1, CTR_EL0, …) is taken where it is the same; later kernels take some of it otherwise too.
        RegisterKind.SystemRegister when IsIdentification(id) || Arm64SystemRegisters.IsInvariant(id) => 2,

        // Before the registers that set the same bits.
        RegisterKind.SystemRegister when s_clearing.Contains(id) => 2,

        // The counter before what is measured on it, and a timer's control last: switched on against an old counter or an
        // old compare value it would fire at once.
        RegisterKind.SystemRegister when Arm64Counter.IsCounter(id) => 4,
        RegisterKind.SystemRegister when s_timerControls.Contains(id) => 6,
        RegisterKind.SystemRegister when Arm64SystemRegisters.TryGet(id, out var register) && register.Group == Arm64RegisterGroup.Timer => 5,
        _ => 3,
    };

    // op0 3, op1 0, CRn 0: the block of identification registers, its places without a name included.
    private static bool IsIdentification(ulong id) => new RegisterId(id) is { Op0: 3, Op1: 0, Crn: 0 };

    private void RestoreGroup(ulong id, KvmRequest set, int size, StateList state, List<RegisterRefusal> refusals)
    {
        if (!state.TryGet(id, out var wanted) || wanted.Length != size)
            return; // The comparison names it.
        try
        {
            Vcpu.Set(set, wanted.Span);
        }
        catch (KvmException refused)
        {
            refusals.Add(new RegisterRefusal(Vcpu.Index, RegisterNames.NameOf(id), id, wanted, default, refused.Errno));
        }
    }

    private static byte[] Buffer(IVcpu vcpu, uint capability, KvmRequest get) =>
        vcpu.CheckExtension(capability) > 0 ? GC.AllocateArray<byte>(get.ArgumentSize, pinned: true) : [];
}
