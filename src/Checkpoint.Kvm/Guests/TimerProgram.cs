using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Guests;

/// <summary>The guest <see cref="GuestKind.Timer"/>; timer.S says what its registers are.</summary>
internal sealed class TimerProgram : X64GuestProgram
{
    /// <summary>RFLAGS.IF, which the loop runs with.</summary>
    internal const ulong InterruptFlag = 0x200;

    private const ulong Dr7 = 0x403; // Breakpoint 0, local and global, at the execution of one byte.
    private const ulong StackMark = 0x5afe_0000;
    private const int StreamsOfMarks = 1 << 20; // Beyond those of x.

    private static readonly StepFunction _step = StepFunction.Guest;

    private readonly CounterShape _shape;

    /// <summary>Lays the guest out.</summary>
    /// <param name="options">Its shape.</param>
    /// <param name="xsave">Where its vCPUs' XSAVE areas have the registers of AVX-512; not looked at without <see cref="GuestOptions.UseZmm"/>.</param>
    public TimerProgram(GuestOptions options, XsaveLayout xsave)
        : base(options)
    {
        Xsave = xsave;
        _shape = CounterShape.Of(this);
    }

    public override GuestKind Kind => GuestKind.Timer;

    public override ulong LoopStart => CodeAddress + TimerCode.LoopStart;

    public override ulong LoopEnd => CodeAddress + TimerCode.LoopEnd;

    public override ulong UsedMemoryBytes => WorkingArea(Options.Vcpus);

    internal override ulong FirstFreePage => StackPage(Options.Vcpus);

    internal XsaveLayout Xsave { get; }

    internal CounterShape Shape => _shape;

    private protected override ReadOnlySpan<byte> Code => TimerCode.Bytes;

    private protected override bool NeedsAvx => Options.UseYmm;

    private ulong TablesPage => base.FirstFreePage;

    /// <summary>Even vCPUs arm their timer by a count, odd ones by a deadline where there is one.</summary>
    internal bool UsesDeadline(int vcpu) => Options.UseTscDeadline && vcpu % 2 == 1;

    internal ulong WorkingArea(int vcpu) => FirstFreePage + ((ulong)vcpu * _shape.WorkingPages * PageBytes);

    /// <summary>Where the vCPU's handlers begin to push.</summary>
    internal ulong StackTop(int vcpu) => StackPage(vcpu) + PageBytes;

    /// <summary>DR0 to DR3 and DR7. Only breakpoint 0 is on; the other addresses are marks that differ by vCPU.</summary>
    internal ulong[] DebugRegisters(int vcpu) =>
        [CodeAddress + TimerCode.Breakpoint, 0x1111_0000 + OwnPage(vcpu), 0x2222_0000 + OwnPage(vcpu), 0x3333_0000 + OwnPage(vcpu), Dr7];

    internal ulong InitialX(int vcpu) => _step.Start(Options.Seed, vcpu);

    internal static ulong WithoutArithmetic(ulong rflags) => rflags & ~(ArithmeticFlags | ResumeFlag);

    internal GeneralRegisters InitialRegisters(int vcpu) => EntryRegisters(vcpu);

    internal override void Enter(IVcpu vcpu, int index)
    {
        base.Enter(vcpu, index);
        SetDebugRegisters(vcpu, index);

        // The first tick is armed from here, and all others by the guest. The deadline after the mode of the timer, or it is dropped.
        kvm_lapic_state lapic = default;
        vcpu.Get(KvmRequests.GetLapic, Bytes(ref lapic));
        TimerApic.Arm(Bytes(ref lapic), UsesDeadline(index));
        vcpu.Set(KvmRequests.SetLapic, Bytes(ref lapic));
        if (UsesDeadline(index))
            SetDeadline(vcpu);
    }

    private protected override void LoadTaskStates(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        // At the start of the page on whose end the stack stands: the segment says where the stack begins.
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
            TaskState.Load(write, StackPage(vcpu), StackTop(vcpu));
        TimerTables.Load(write, TablesPage, CodeAddress + TimerCode.TimerHandler, CodeAddress + TimerCode.TrapHandler);
    }

    private protected override void LoadData(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        for (var vcpu = 0; vcpu < Options.Vcpus; vcpu++)
        {
            var page = new byte[PageBytes];
            void Put(ulong offset, ReadOnlySpan<byte> bytes) => bytes.CopyTo(page.AsSpan((int)offset));
            var vectors = new TimerVectors(Options, vcpu);
            Put(TimerCode.PageOfX, Words(InitialX(vcpu)));
            Put(TimerCode.PageOfDeadline, Words(UsesDeadline(vcpu) ? 1UL : 0));
            Put(TimerCode.PageOfPeriod, Words(UsesDeadline(vcpu) ? TimerApic.PeriodCycles : TimerApic.PeriodCounts));
            Put(TimerCode.PageOfDebug, Words(DebugRegisters(vcpu)));
            Put(TimerCode.PageOfVectors, vectors.InitialVectors());
            Put(TimerCode.PageOfMasks, vectors.InitialMasks());
            write(OwnPage(vcpu), page);
        }
    }

    private protected override GuestEntry Complete(GuestEntry entry, int vcpu) => entry with
    {
        Avx512 = Options.UseZmm,
        X2Apic = true,
        Tr = GuestSegment.Task with { Base = StackPage(vcpu) },
        Gdt = TimerTables.Segments(TablesPage),
        Idt = TimerTables.Interrupts(TablesPage),
    };

    private protected override GeneralRegisters EntryRegisters(int vcpu) => new()
    {
        Rbx = InitialX(vcpu),
        Rsi = _step.Multiplier,
        R8 = _step.Increment,
        Rdi = OwnPage(vcpu),
        R9 = WorkingArea(vcpu),
        R10 = _shape.WorkingPages * PageBytes,
        R12 = _step.Start(Options.Seed, StreamsOfMarks + vcpu),
        R13 = _shape.WriteEvery - 1,
        R14 = ~_step.Start(Options.Seed, StreamsOfMarks + vcpu),
        R15 = Options.UseZmm ? 2UL : Options.UseYmm ? 1UL : 0,
        Rsp = StackMark + (ulong)(vcpu * 16),
        Rip = CodeAddress,
        Rflags = InitialRflags | InterruptFlag,
    };

    private protected override GuestVerdict VerifyAll(ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device)
    {
        List<string> failures = [];
        var steps = new ulong[vcpus.Count];
        var ticks = new ulong[vcpus.Count];
        for (var vcpu = 0; vcpu < vcpus.Count; vcpu++)
        {
            steps[vcpu] = vcpus[vcpu].General.Rbp;
            ticks[vcpu] = Word(read, OwnPage(vcpu) + TimerCode.PageOfTicks);
            var verification = new TimerVerification(this, new Findings(vcpu, failures), vcpus[vcpu], read);
            steps[vcpu] = verification.Check(device[vcpu]) ?? steps[vcpu];
        }

        return new GuestVerdict(steps, [], failures) { Ticks = ticks };
    }

    private ulong StackPage(int vcpu) => TablesPage + ((1 + (ulong)vcpu) * PageBytes);

    private void SetDebugRegisters(IVcpu vcpu, int index)
    {
        var registers = DebugRegisters(index);
        kvm_debugregs debug = default;
        vcpu.Get(KvmRequests.GetDebugregs, Bytes(ref debug));
        for (var i = 0; i < registers.Length - 1; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(Bytes(ref debug)[(i * sizeof(ulong))..], registers[i]);
        debug.dr7 = registers[^1];
        vcpu.Set(KvmRequests.SetDebugregs, Bytes(ref debug));
    }

    private static void SetDeadline(IVcpu vcpu)
    {
        var msrs = new byte[Marshal.SizeOf<kvm_msrs>() + Marshal.SizeOf<kvm_msr_entry>()];
        BinaryPrimitives.WriteUInt32LittleEndian(msrs, 1); // nmsrs
        BinaryPrimitives.WriteUInt32LittleEndian(msrs.AsSpan(8), (uint)TimerCode.DeadlineMsr);
        BinaryPrimitives.WriteUInt64LittleEndian(msrs.AsSpan(16), TimerApic.PassedDeadline);
        if (vcpu.SetMsrs(msrs) != 1)
            throw new KvmException(KvmRequests.SetMsrs.Name, Errno.EINVAL, vcpu.Index, "IA32_TSC_DEADLINE", "KVM_CAP_TSC_DEADLINE_TIMER promises it");
    }
}
