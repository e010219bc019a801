using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>A simulated x86-64 vCPU.</summary>
/// <remarks>
/// Its guest is user mode in long mode without interrupts: the interpreter knows the instructions of the guests in this
/// project. State that nothing here acts upon is kept, checked as KVM checks it, and given back.
/// </remarks>
public sealed partial class SimulatedX64Vcpu : SimulatedVcpu
{
    private const uint Runnable = 0; // KVM_MP_STATE_RUNNABLE
    private const uint Uninitialized = 1; // KVM_MP_STATE_UNINITIALIZED
    private const uint InitReceived = 2; // KVM_MP_STATE_INIT_RECEIVED
    private const uint Halted = 3; // KVM_MP_STATE_HALTED
    private const uint SipiReceived = 4; // KVM_MP_STATE_SIPI_RECEIVED
    private const uint ResetHold = 9; // KVM_MP_STATE_AP_RESET_HOLD
    private const int XsaveLegacyBytes = 4096;

    private readonly X64Cpu _cpu;
    private readonly X64Apic? _apic;
    private readonly X64Events _events = new();
    private readonly X64Nested _nested = new();
    private readonly Dictionary<uint, ulong> _msrs = [];
    private readonly ulong[] _debug = [0, 0, 0, 0, 0xffff_0ff0, 0x400];
    private byte[] _cpuid = [];
    private uint _mpState;
    private bool _hasSipi;
    private bool _hasEntered;
    private uint _tscKhz;
    private ulong _tscOffset;
    private ulong _tscFromNs;

    internal SimulatedX64Vcpu(SimulatedVm vm, uint id, int index)
        : base(vm, id, index)
    {
        // The first one that is made has id 0: KVM_SET_BOOT_CPU_ID is not of this seam.
        var isBootProcessor = id == 0;
        var supported = X64CpuidTable.SupportedXcr0(Options.Cpuid.Span) | 3;
        _cpu = new X64Cpu(vm.Slots, new X64ExtendedState(Math.Max(XsaveLegacyBytes, Options.Xsave2Bytes), supported), X64Special.AfterReset(isBootProcessor));
        _apic = vm.Chips.HasLocalApics ? new X64Apic(id, isBootProcessor) : null;
        _mpState = _apic is null || isBootProcessor ? Runnable : Uninitialized;
        _tscKhz = Options.TscKhz;
        _tscFromNs = vm.NowNs;
        foreach (var msr in Options.Msrs)
            _msrs[msr.Index] = msr.ResetValue;
    }

    private protected override int NoSuchRegister => Errno.EINVAL;

    private protected override bool HasOneReg => Options.OneReg;

    private protected override int XsaveBytes => Options.Xsave2Bytes;

    private protected override bool IsRunnable => _mpState == Runnable;

    private protected override bool SleepsInKernel => _apic is not null;

    /// <inheritdoc/>
    public override int GetMsrs(Span<byte> msrs)
    {
        var count = CountMsrs(KvmRequests.GetMsrs, msrs);
        for (var i = 0; i < count; i++)
        {
            var entry = MsrEntry(msrs, i);
            var index = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            if (GetRegister(StateIds.X64Msr(index), entry[8..]) != 0)
                return i;
        }

        return count;
    }

    /// <inheritdoc/>
    public override int SetMsrs(ReadOnlySpan<byte> msrs)
    {
        var count = CountMsrs(KvmRequests.SetMsrs, msrs);
        for (var i = 0; i < count; i++)
        {
            var entry = msrs.Slice(8 + (16 * i), 16);
            var index = BinaryPrimitives.ReadUInt32LittleEndian(entry);
            if (SetRegister(StateIds.X64Msr(index), entry[8..]) != 0)
                return i;
        }

        return count;
    }

    /// <inheritdoc/>
    public override ReadOnlyMemory<byte> GetCpuid()
    {
        ThrowIfDisposed();
        return _cpuid.ToArray();
    }

    /// <inheritdoc/>
    public override void SetCpuid(ReadOnlySpan<byte> entries)
    {
        const int entryBytes = 40;
        if (entries.Length % entryBytes != 0)
            throw new ArgumentException($"CPUID entries have {entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        ThrowIfDisposed();
        if (entries.Length / entryBytes > SimulatedKvm.MaxCpuidEntries)
            Check(KvmRequests.SetCpuid2, Errno.E2BIG);
        // Once the guest has run, only the table that it has already may be set.
        if (_hasEntered && !entries.SequenceEqual(_cpuid))
            Check(KvmRequests.SetCpuid2, Errno.EINVAL);
        _cpuid = entries.ToArray();
    }

    private protected override void Halt() => _mpState = Halted;

    private protected override Stop Execute(int budget, out int executed)
    {
        _hasEntered = true;
        if (_events.HasTripleFaultPending)
        {
            _events.HasTripleFaultPending = false;
            executed = 0;
            return Stop.Shutdown;
        }

        executed = _cpu.Run(budget);
        return _cpu.Stopped switch
        {
            X64Stop.None => Stop.Spent,
            X64Stop.Io => Ask(Stop.Io),
            X64Stop.Mmio => Ask(Stop.Mmio),
            X64Stop.Halt => Stop.Halt,
            X64Stop.Fault => Stop.Shutdown,
            _ => Stop.UnknownInstruction,
        };
    }

    private protected override int BeforeRun()
    {
        _cpu.Flush();
        return 0;
    }

    private protected override void CompleteAccess(in PendingAccess access, ReadOnlySpan<byte> data)
    {
        _cpu.Rip = access.NextInstruction;
        if (access.IsWrite)
            return;
        var value = 0UL;
        for (var i = data.Length - 1; i >= 0; i--)
            value = (value << 8) | data[i];
        // Registers of 32 and 64 bits change whole, smaller ones leave the rest.
        var kept = access.RegisterSize switch { 1 => ~0xffUL, 2 => ~0xffffUL, _ => 0UL };
        _cpu.R[access.Register] = (_cpu.R[access.Register] & kept) | value;
    }

    private protected override IEnumerable<ulong> ListRegisters() => [];

    private static Span<byte> MsrEntry(Span<byte> msrs, int i) => msrs.Slice(8 + (16 * i), 16);

    private Stop Ask(Stop stop)
    {
        Pending = _cpu.Access;
        ExitData.Clear();
        if (Pending.IsWrite)
            BinaryPrimitives.WriteUInt64LittleEndian(ExitData, _cpu.AccessValue);
        return stop;
    }

    private int CountMsrs(in KvmRequest request, ReadOnlySpan<byte> msrs)
    {
        const int mostPlusOne = 256; // MAX_IO_MSRS, which is one too many.
        if (msrs.Length < 8 || MemoryMarshal.Read<uint>(msrs) > (msrs.Length - 8) / 16)
            throw new ArgumentException("struct kvm_msrs is shorter than its count says.", nameof(msrs));
        ThrowIfDisposed();
        var count = MemoryMarshal.Read<int>(msrs);
        if (count >= mostPlusOne)
            Check(request, Errno.E2BIG);
        return count;
    }
}
