using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>A guest for x86-64: long mode at CPL 3, talking to its device through ports.</summary>
public abstract class X64GuestProgram : GuestProgram
{
    private protected const ulong InitialRflags = 0x2; // No interrupts; IN and OUT are allowed by the task state segment.

    private protected const ulong ArithmeticFlags = 0x8d5;
    private protected const ulong ResumeFlag = 0x1_0000;

    private const ulong X2ApicEnabled = 1UL << 10; // IA32_APIC_BASE.EXTD
    private const uint Runnable = 0; // KVM_MP_STATE_RUNNABLE

    private readonly PageTables _tables;

    private protected X64GuestProgram(GuestOptions options)
        : base(options) => _tables = new PageTables(TablesAddress, options.MemoryBytes);

    internal override ulong OwnPages => _tables.End;

    // A memory slot that goes on beyond 3 GiB lies under the interrupt chips' own pages there.
    internal override ulong HighestAddress => 3UL << 30;

    private protected virtual bool NeedsAvx => false;

    /// <summary>Makes a guest for x86-64.</summary>
    public static new X64GuestProgram Create(GuestKind kind, GuestOptions options) =>
        (X64GuestProgram)GuestProgram.Create(kind, options with { Architecture = MachineArchitecture.X64 });

    /// <summary>The registers a vCPU starts with.</summary>
    public GuestEntry Entry(int vcpu)
    {
        RequireVcpu(vcpu);
        return Complete(new GuestEntry { General = EntryRegisters(vcpu), Cr3 = _tables.Start, Avx = NeedsAvx }, vcpu);
    }

    /// <inheritdoc/>
    public override GuestVerdict Verify(ReadGuestMemory read, IReadOnlyList<StateList> vcpus, SequenceDevice device) =>
        Verify(read, [.. vcpus.Select(RegistersOf)], device);

    /// <summary>
    /// Says whether memory, registers and device are of one moment. The vCPUs may have stopped at any instruction, with
    /// port IO completed.
    /// </summary>
    public GuestVerdict Verify(ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device)
    {
        RequireAll(vcpus.Count, device);
        return VerifyAll(read, vcpus, device);
    }

    internal override void Enter(IVcpu vcpu, int index)
    {
        var entry = Entry(index);
        // vCPUs other than the first wait for an INIT when there is a local APIC; these begin at once.
        var mpState = new kvm_mp_state { mp_state = Runnable };
        vcpu.Set(KvmRequests.SetMpState, Bytes(ref mpState));

        kvm_sregs special = default;
        vcpu.Get(KvmRequests.GetSregs, Bytes(ref special));
        special.cr0 = entry.Cr0;
        special.cr3 = entry.Cr3;
        special.cr4 = entry.Cr4;
        special.efer = entry.Efer;
        special.cs = Segment(entry.Cs);
        special.ss = special.ds = special.es = special.fs = special.gs = Segment(entry.Data);
        special.tr = Segment(entry.Tr);
        special.ldt = Segment(entry.Ldt);
        special.gdt = Table(entry.Gdt);
        special.idt = Table(entry.Idt);
        if (entry.X2Apic)
            special.apic_base |= X2ApicEnabled;
        vcpu.Set(KvmRequests.SetSregs, Bytes(ref special));

        if (entry.Avx)
            SetXcr0(vcpu, entry.Xcr0);

        Span<ulong> general =
        [
            entry.General.Rax, entry.General.Rbx, entry.General.Rcx, entry.General.Rdx, entry.General.Rsi, entry.General.Rdi,
            entry.General.Rsp, entry.General.Rbp, entry.General.R8, entry.General.R9, entry.General.R10, entry.General.R11,
            entry.General.R12, entry.General.R13, entry.General.R14, entry.General.R15, entry.General.Rip, entry.General.Rflags,
        ];
        vcpu.Set(KvmRequests.SetRegs, MemoryMarshal.AsBytes(general));
    }

    private protected override void LoadSystem(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        LoadTaskStates(write);
        _tables.Load(write);
    }

    private protected virtual void LoadTaskStates(Action<ulong, ReadOnlyMemory<byte>> write) => TaskState.Load(write);

    private protected abstract GeneralRegisters EntryRegisters(int vcpu);

    /// <summary>Adds what a guest starts with beyond what all of them do.</summary>
    private protected virtual GuestEntry Complete(GuestEntry entry, int vcpu) => entry;

    private protected abstract GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device);

    /// <summary>
    /// Checks that the vCPU is in its code and has not stopped, and that RFLAGS has only ever changed by arithmetic.
    /// False if it is not in the loop or before it, where the rules of a step would mean nothing.
    /// </summary>
    private protected bool CheckPlace(Findings findings, GeneralRegisters registers, ReadGuestMemory read, ulong errorOffset)
    {
        findings.Equal(
            "rflags without the arithmetic flags",
            InitialRflags,
            registers.Rflags & ~(ArithmeticFlags | ResumeFlag));
        return CheckPlace(findings, "rip", registers.Rip, read, errorOffset);
    }

    private static GuestRegisters RegistersOf(StateList state)
    {
        if (!state.TryGet(StateIds.X64Regs, out var regs))
            throw new InvalidDataException("The vCPU's state has no general registers.");
        state.TryGet(StateIds.X64Xsave, out var xsave);
        var r = MemoryMarshal.Cast<byte, ulong>(regs.Span);
        return new GuestRegisters(
            new GeneralRegisters
            {
                Rax = r[0], Rbx = r[1], Rcx = r[2], Rdx = r[3], Rsi = r[4], Rdi = r[5], Rsp = r[6], Rbp = r[7],
                R8 = r[8], R9 = r[9], R10 = r[10], R11 = r[11], R12 = r[12], R13 = r[13], R14 = r[14], R15 = r[15],
                Rip = r[16], Rflags = r[17],
            },
            xsave)
        {
            State = state,
        };
    }

    private static void SetXcr0(IVcpu vcpu, ulong value)
    {
        var xcrs = new byte[KvmRequests.SetXcrs.ArgumentSize];
        BinaryPrimitives.WriteUInt32LittleEndian(xcrs, 1); // nr_xcrs; the first entry's number is 0
        BinaryPrimitives.WriteUInt64LittleEndian(xcrs.AsSpan(16), value);
        vcpu.Set(KvmRequests.SetXcrs, xcrs);
    }

    internal static kvm_segment Segment(GuestSegment segment) => new()
    {
        @base = segment.Base,
        limit = segment.Limit,
        selector = segment.Selector,
        type = segment.Type,
        present = segment.Present,
        dpl = segment.Dpl,
        db = segment.Db,
        s = segment.S,
        l = segment.L,
        g = segment.G,
        unusable = segment.Unusable,
    };

    private static kvm_dtable Table(GuestTable table) => new() { @base = table.Address, limit = table.Limit };

    private protected static Span<byte> Bytes<T>(ref T value)
        where T : unmanaged => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref value, 1));
}
