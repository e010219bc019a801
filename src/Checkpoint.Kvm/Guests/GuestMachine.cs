using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>One of the guests in a machine: it sets the machine up, answers its exits and says whether it is consistent.</summary>
public sealed class GuestMachine : IExitHandler, IDisposable
{
    /// <summary>The name under which the guest's device belongs to a checkpoint.</summary>
    public const string DeviceName = "guest";

    private const uint Runnable = 0; // KVM_MP_STATE_RUNNABLE

    private readonly SequenceDevice _device;

    private GuestMachine(Machine machine, GuestProgram program, SequenceDevice device)
    {
        Machine = machine;
        Program = program;
        _device = device;
    }

    /// <summary>The machine.</summary>
    public Machine Machine { get; }

    /// <summary>The guest.</summary>
    public GuestProgram Program { get; }

    /// <summary>Builds a machine and puts a guest into it.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="kind">Which guest.</param>
    /// <param name="options">Its shape; <see cref="GuestOptions.UseYmm"/> is decided by what the host supports.</param>
    /// <param name="chip">Which interrupt controllers the kernel emulates.</param>
    public static GuestMachine Create(IKvm kvm, GuestKind kind, GuestOptions options, InterruptChip chip = InterruptChip.Full)
    {
        var program = GuestProgram.Create(kind, options with { UseYmm = SupportsAvx2(kvm.GetSupportedCpuid().Span) });
        var machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, options.Vcpus, options.MemoryBytes, chip));
        try
        {
            program.Load((address, bytes) => machine.Memory.Write(address, bytes.Span));
            for (var vcpu = 0; vcpu < options.Vcpus; vcpu++)
                Enter(machine.Vcpus[vcpu].Vcpu, program.Entry(vcpu));
            return new GuestMachine(machine, program, new SequenceDevice(options.Vcpus));
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>Takes a restored machine whose guest is the one that the device's state tells of.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="state">What <see cref="CaptureDevice"/> gave at the checkpoint.</param>
    /// <exception cref="InvalidDataException">The bytes tell of no guest that this program knows.</exception>
    public static GuestMachine Restore(Machine machine, ReadOnlySpan<byte> state)
    {
        var (kind, options, device) = GuestState.Read(state);
        var program = GuestProgram.Create(kind, options);
        var sequence = new SequenceDevice(options.Vcpus);
        sequence.RestoreState(device);
        return new GuestMachine(machine, program, sequence);
    }

    /// <inheritdoc/>
    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        var isTaken = exit.Reason == VcpuExitReason.Io
            && (exit.IsWrite ? _device.TryWrite(vcpu, exit.Port, exit.Data) : _device.TryRead(vcpu, exit.Port, exit.Data));
        return isTaken
            ? ExitAction.Continue
            : throw new InvalidOperationException($"vCPU {vcpu} of the {Program.Kind} guest made an exit that it never makes: {exit.Reason}, port 0x{exit.Port:x}");
    }

    /// <summary>The guest's kind and options with its device's state; taken while all vCPUs are parked.</summary>
    public ReadOnlyMemory<byte> CaptureDevice() => GuestState.Write(Program, _device.SaveState());

    /// <summary>Verifies the machine as it stands; its vCPUs must be stopped.</summary>
    public GuestVerdict Verify()
    {
        foreach (var vcpu in Machine.Vcpus)
            vcpu.Capture();
        return Verify([.. Machine.Vcpus.Select(vcpu => vcpu.ToStateList())]);
    }

    /// <summary>Verifies vCPU states against the memory and the device as they stand.</summary>
    public GuestVerdict Verify(IReadOnlyList<StateList> vcpus) =>
        Program.Verify(Machine.Memory.Read, [.. vcpus.Select(RegistersOf)], _device);

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();

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
            xsave);
    }

    private static void Enter(IVcpu vcpu, GuestEntry entry)
    {
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
        special.gdt.limit = 0;
        special.idt.limit = 0;
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

    private static void SetXcr0(IVcpu vcpu, ulong value)
    {
        var xcrs = new byte[KvmRequests.SetXcrs.ArgumentSize];
        BinaryPrimitives.WriteUInt32LittleEndian(xcrs, 1); // nr_xcrs; the first entry's number is 0
        BinaryPrimitives.WriteUInt64LittleEndian(xcrs.AsSpan(16), value);
        vcpu.Set(KvmRequests.SetXcrs, xcrs);
    }

    private static kvm_segment Segment(GuestSegment segment) => new()
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

    // CPUID leaf 7, subleaf 0, EBX bit 5; in KVM's list the subleaf is at offset 4, EBX at 16.
    private static bool SupportsAvx2(ReadOnlySpan<byte> cpuid)
    {
        for (var offset = 0; offset < cpuid.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = cpuid.Slice(offset, X64Cpuid.EntrySize);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) == 7 && BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]) == 0)
                return (BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]) & (1 << 5)) != 0;
        }

        return false;
    }

    private static Span<byte> Bytes<T>(ref T value)
        where T : unmanaged => MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref value, 1));
}
