using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>One struct of a vCPU's or VM's state that the kernel reads and writes as a whole.</summary>
/// <param name="Id">Its id in the state model.</param>
/// <param name="Get">The request that reads it.</param>
/// <param name="Set">The request that writes it.</param>
/// <param name="Size">Its size in bytes.</param>
internal readonly record struct X64Group(ulong Id, KvmRequest Get, KvmRequest Set, int Size);

/// <summary>
/// What this kernel offers of an x86 vCPU's state, found out once per machine, and the order in which it is saved. The order
/// of the restore is in <see cref="X64VcpuState"/>.
/// </summary>
internal sealed class X64StatePlan
{
    // KVM_VCPU_TSC_CTRL and KVM_VCPU_TSC_OFFSET of KVM_GET_DEVICE_ATTR.
    private const uint TscControl = 0;
    private const ulong TscOffset = 0;
    private const int AllSyncRegs = 7; // KVM_SYNC_X86_VALID_FIELDS

    private X64StatePlan(ImmutableArray<X64Group> groups, ImmutableArray<ulong> msrs, RegisterBatching batching)
    {
        Groups = groups;
        HasLapic = groups.Any(group => group.Id == StateIds.X64Lapic);
        Msrs = msrs;
        Batching = batching;
    }

    /// <summary>The structs in the order of a save.</summary>
    public ImmutableArray<X64Group> Groups { get; }

    /// <summary>The ids of the MSRs that this kernel lists and a vCPU can read, in ascending order.</summary>
    public ImmutableArray<ulong> Msrs { get; }

    /// <summary>How the MSRs travel.</summary>
    public RegisterBatching Batching { get; }

    /// <summary>Whether REGS, SREGS and VCPU_EVENTS come with a KVM_RUN (KVM_CAP_SYNC_REGS).</summary>
    public bool HasSyncRegs { get; private init; }

    /// <summary>Whether there is a local APIC in the kernel.</summary>
    public bool HasLapic { get; }

    /// <summary>Whether a vCPU's TSC offset can be read and set (KVM_VCPU_TSC_OFFSET, Linux 5.16).</summary>
    public bool HasTscOffset { get; private init; }

    /// <summary>The same, with every struct read by its own call.</summary>
    public X64StatePlan WithoutSyncRegs() => new(Groups, Msrs, Batching) { HasTscOffset = HasTscOffset };

    /// <summary>Reads a vCPU's TSC offset.</summary>
    public static ulong GetTscOffset(IVcpu vcpu) => vcpu.GetAttribute(TscControl, TscOffset);

    /// <summary>Sets a vCPU's TSC offset.</summary>
    public static void SetTscOffset(IVcpu vcpu, ulong offset) => vcpu.SetAttribute(TscControl, TscOffset, offset);

    /// <summary>Finds out what a vCPU of this machine has.</summary>
    /// <param name="kvm">The kernel.</param>
    /// <param name="vcpu">A vCPU with its CPUID set: what MSRs it has follows from that.</param>
    /// <param name="chip">Whether there is a local APIC in the kernel.</param>
    /// <param name="batching">How MSRs are to travel; null for the best way that the kernel has.</param>
    public static X64StatePlan Probe(IKvm kvm, IVcpu vcpu, InterruptChip chip, RegisterBatching? batching)
    {
        var groups = ImmutableArray.CreateBuilder<X64Group>();

        // First: reading it lets the kernel take pending INIT and SIPI events, which changes CS, RIP and the APIC's state
        // (KVM_GET_MP_STATE calls kvm_apic_accept_events).
        groups.Add(Fixed(StateIds.X64MpState, KvmRequests.GetMpState, KvmRequests.SetMpState));
        groups.Add(Fixed(StateIds.X64Regs, KvmRequests.GetRegs, KvmRequests.SetRegs));

        // SREGS2 has the PDPTRs, which SREGS lacks: without them a PAE guest comes back with what its memory says now.
        groups.Add(vcpu.CheckExtension(KvmCapability.Sregs2) > 0
            ? Fixed(StateIds.X64Sregs2, KvmRequests.GetSregs2, KvmRequests.SetSregs2)
            : Fixed(StateIds.X64Sregs, KvmRequests.GetSregs, KvmRequests.SetSregs));

        // XSAVE2's size is what the capability answers; AMX makes it larger than the 4096 bytes of XSAVE.
        var xsaveSize = vcpu.CheckExtension(KvmCapability.Xsave2);
        if (xsaveSize > 0)
            groups.Add(new X64Group(StateIds.X64Xsave, KvmRequests.GetXsave2, KvmRequests.SetXsave, Math.Max(xsaveSize, KvmRequests.GetXsave.ArgumentSize)));
        else if (vcpu.CheckExtension(KvmCapability.Xsave) > 0)
            groups.Add(Fixed(StateIds.X64Xsave, KvmRequests.GetXsave, KvmRequests.SetXsave));
        if (vcpu.CheckExtension(KvmCapability.Xcrs) > 0)
            groups.Add(Fixed(StateIds.X64Xcrs, KvmRequests.GetXcrs, KvmRequests.SetXcrs));
        if (vcpu.CheckExtension(KvmCapability.DebugRegs) > 0)
            groups.Add(Fixed(StateIds.X64DebugRegs, KvmRequests.GetDebugregs, KvmRequests.SetDebugregs));
        if (chip != InterruptChip.None)
            groups.Add(Fixed(StateIds.X64Lapic, KvmRequests.GetLapic, KvmRequests.SetLapic));

        // What a hypervisor inside the guest is doing; as long as the capability answers, shorter where nothing is nested.
        if (vcpu.CheckExtension(KvmCapability.NestedState) is var nestedSize and > 0)
            groups.Add(new X64Group(StateIds.X64NestedState, KvmRequests.GetNestedState, KvmRequests.SetNestedState, nestedSize));

        // Last of the structs: what the calls before made pending is in it.
        if (vcpu.CheckExtension(KvmCapability.VcpuEvents) > 0)
            groups.Add(Fixed(StateIds.X64VcpuEvents, KvmRequests.GetVcpuEvents, KvmRequests.SetVcpuEvents));

        return new X64StatePlan(
            groups.ToImmutable(),
            [.. MsrsImage.Readable(vcpu, kvm.GetMsrIndexList())],
            batching ?? RegisterBatchings.BestOf(vcpu, MachineArchitecture.X64))
        {
            HasSyncRegs = (vcpu.CheckExtension(KvmCapability.SyncRegs) & AllSyncRegs) == AllSyncRegs,
            HasTscOffset = vcpu.HasAttribute(TscControl, TscOffset),
        };
    }

    private static X64Group Fixed(ulong id, KvmRequest get, KvmRequest set) => new(id, get, set, get.ArgumentSize);
}
