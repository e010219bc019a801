using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>A simulated AArch64 vCPU.</summary>
/// <remarks>
/// Its guest runs at EL1 without interrupts and takes no exceptions: an instruction that the interpreter does not know, or a
/// fault, ends KVM_RUN with an internal error. State that nothing here acts upon is kept, checked and given back.
/// </remarks>
public sealed partial class SimulatedArm64Vcpu : SimulatedVcpu
{
    /// <summary>KVM_ARM_TARGET_GENERIC_V8.</summary>
    internal const byte GenericTarget = 5;

    private const uint PowerOff = 1 << 0; // KVM_ARM_VCPU_POWER_OFF
    private const uint Psci = 1 << 2; // KVM_ARM_VCPU_PSCI_0_2
    private const uint Pmu = 1 << 3; // KVM_ARM_VCPU_PMU_V3
    private const uint Sve = 1 << 4; // KVM_ARM_VCPU_SVE
    private const uint PointerAuth = 3 << 5; // KVM_ARM_VCPU_PTRAUTH_ADDRESS and …_GENERIC
    private const int SveFeature = 4;
    private const uint Runnable = 0; // KVM_MP_STATE_RUNNABLE
    private const uint Stopped = 5; // KVM_MP_STATE_STOPPED
    private const uint Suspended = 10; // KVM_MP_STATE_SUSPENDED

    private readonly Arm64Cpu _cpu;
    private readonly byte[] _events = new byte[64];
    private uint? _features;
    private Arm64SystemState? _system;
    private Arm64Firmware? _firmware;
    private uint _mpState;
    private bool _isWaiting;
    private bool _isFinalized;
    private bool _isPmuReady;
    private uint? _pmuInterrupt;
    private ulong _systemEvent;

    internal SimulatedArm64Vcpu(SimulatedVm vm, uint id, int index)
        : base(vm, id, index) => _cpu = new Arm64Cpu(vm.Slots);

    private protected override int NoSuchRegister => Errno.ENOENT;

    private protected override bool HasOneReg => true;

    private protected override bool IsRunnable => _mpState == Runnable && !_isWaiting;

    private protected override bool SleepsInKernel => true;

    private protected override ulong SystemEvent => _systemEvent;

    private bool HasSve => (_features & Sve) == Sve;

    private protected override int BeforeRegisters() => _features is null ? Errno.ENOEXEC : 0;

    private protected override int BeforeList() => HasSve && !_isFinalized ? Errno.EPERM : 0;

    private protected override int BeforeRun()
    {
        if (_system is null)
            return Errno.ENOEXEC;
        if (HasSve && !_isFinalized)
            return Errno.EPERM;
        if ((_features & Pmu) != 0 && !_isPmuReady)
            return Errno.EINVAL;
        // A vCPU that was kicked out of WFI goes on behind it: the architecture lets WFI end at any time.
        _isWaiting = false;
        _system.Configure(_cpu.Tables);
        _cpu.Flush();
        return 0;
    }

    // KVM_ARM_VCPU_PMU_V3_CTRL with KVM_ARM_VCPU_PMU_V3_IRQ (0) and KVM_ARM_VCPU_PMU_V3_INIT (1).
    private protected override int MoveAttribute(uint group, ulong attribute, ref ulong value, bool isWrite)
    {
        if (group != 0 || attribute > 1)
            return Errno.ENXIO;
        if ((_features & Pmu) is not Pmu)
            return Errno.ENODEV;
        if (!isWrite)
        {
            value = _pmuInterrupt ?? 0;
            return !Vm.HasGic ? Errno.EINVAL : attribute == 0 && _pmuInterrupt is not null ? 0 : Errno.ENXIO;
        }

        if (_isPmuReady)
            return Errno.EBUSY;
        if (attribute == 0)
        {
            if (!Vm.HasGic || value is < 16 or > 1019)
                return Errno.EINVAL;
            _pmuInterrupt = (uint)value;
            return 0;
        }

        _isPmuReady = !Vm.HasGic || _pmuInterrupt is not null;
        return _isPmuReady ? 0 : Errno.ENXIO;
    }

    private protected override void Halt() => _isWaiting = true;

    private protected override Stop Execute(int budget, out int executed)
    {
        executed = _cpu.Run(budget);
        switch (_cpu.Stopped)
        {
            case Arm64Stop.None:
                return Stop.Spent;
            case Arm64Stop.Mmio:
                Pending = _cpu.Access;
                ExitData.Clear();
                BinaryPrimitives.WriteUInt64LittleEndian(ExitData, _cpu.AccessValue);
                return Stop.Mmio;
            case Arm64Stop.WaitForInterrupt:
                return Stop.Halt;
            case Arm64Stop.HypervisorCall:
                return CallFirmware();
            default:
                return Stop.UnknownInstruction;
        }
    }

    private protected override void CompleteAccess(in PendingAccess access, ReadOnlySpan<byte> data)
    {
        _cpu.Pc = access.NextInstruction;
        if (access.IsWrite)
            return;
        var value = 0UL;
        for (var i = data.Length - 1; i >= 0; i--)
            value = (value << 8) | data[i];
        _cpu.R[access.Register] = value;
    }

    private protected override int ReadStruct(in KvmRequest request, Span<byte> argument)
    {
        if (request.Code == KvmRequests.GetMpState.Code)
        {
            BinaryPrimitives.WriteUInt32LittleEndian(argument, _mpState);
            return 0;
        }

        if (request.Code != KvmRequests.GetVcpuEvents.Code)
            return Errno.EINVAL;
        if (_features is null)
            return Errno.ENOEXEC;
        _events.CopyTo(argument);
        return 0;
    }

    private protected override int WriteStruct(in KvmRequest request, ReadOnlySpan<byte> argument)
    {
        if (request.Code == KvmRequests.ArmVcpuInit.Code)
            return Initialise(argument);
        if (request.Code == KvmRequests.ArmVcpuFinalize.Code)
            return Finalise(BinaryPrimitives.ReadInt32LittleEndian(argument));
        if (request.Code == KvmRequests.SetVcpuEvents.Code)
            return SetEvents(argument);
        if (request.Code != KvmRequests.SetMpState.Code)
            return Errno.EINVAL;
        var wanted = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        if (wanted is not (Runnable or Stopped or Suspended))
            return Errno.EINVAL;
        _mpState = wanted;
        return 0;
    }

    private int Initialise(ReadOnlySpan<byte> init)
    {
        var features = BinaryPrimitives.ReadUInt32LittleEndian(init[4..]);
        if (BinaryPrimitives.ReadUInt32LittleEndian(init) != GenericTarget)
            return Errno.EINVAL;
        // A bit that no kernel knows is ENOENT, one that this processor has not is EINVAL.
        if (features >> 8 != 0 || init[8..32].ContainsAnyExcept((byte)0))
            return Errno.ENOENT;
        var known = PowerOff | Psci | (Options.Arm64.Pmu ? Pmu : 0) | (Options.Arm64.SveVectorLengths > 0 ? Sve : 0)
            | (Options.Arm64.PointerAuthentication ? PointerAuth : 0);
        if ((features & ~known) != 0 || (features & PointerAuth) is not (0 or PointerAuth))
            return Errno.EINVAL;
        // All vCPUs of a VM are alike, and a vCPU stays what it was made.
        var lasting = features & ~PowerOff;
        if (Vm.ArmFeatures is { } others && others != lasting)
            return Errno.EINVAL;
        Vm.ArmFeatures = lasting;
        _features = lasting;
        Reset((features & PowerOff) != 0);
        return 0;
    }

    private void Reset(bool isOff)
    {
        var groups = new List<Arm64RegisterGroup>();
        if (Options.Arm64.ListsTranslationExtensions)
            groups.Add(Arm64RegisterGroup.Optional);
        if ((_features & Pmu) != 0)
            groups.Add(Arm64RegisterGroup.Pmu);
        if ((_features & PointerAuth) != 0)
            groups.Add(Arm64RegisterGroup.PointerAuth);
        if (HasSve)
            groups.Add(Arm64RegisterGroup.Sve);
        _system = new Arm64SystemState(Vm, Id, Arm64SystemRegisters.Listed([.. groups]));
        _firmware = new Arm64Firmware(Vm, (_features & Psci) != 0);
        _mpState = isOff ? Stopped : Runnable;
        ResetCore();
    }

    private int Finalise(int feature)
    {
        if (_features is null)
            return Errno.ENOEXEC;
        if (feature != SveFeature || !HasSve)
            return Errno.EINVAL;
        if (_isFinalized)
            return Errno.EPERM;
        _isFinalized = true;
        return 0;
    }

    // serror_pending, serror_has_esr, ext_dabt_pending, padding, serror_esr, reserved.
    private int SetEvents(ReadOnlySpan<byte> events)
    {
        const ulong syndromeBits = 0x1ff_ffff;
        if (_features is null)
            return Errno.ENOEXEC;
        var hasSyndrome = events[0] != 0 && events[1] != 0;
        var syndrome = BinaryPrimitives.ReadUInt64LittleEndian(events[8..]);
        if (events[16..64].ContainsAnyExcept((byte)0) || (hasSyndrome && (syndrome & ~syndromeBits) != 0))
            return Errno.EINVAL;
        // An injected data abort is taken at once and never reported; a syndrome belongs to a pending SError alone.
        Array.Clear(_events);
        _events[0] = events[0] != 0 ? (byte)1 : (byte)0;
        _events[1] = hasSyndrome ? (byte)1 : (byte)0;
        BinaryPrimitives.WriteUInt64LittleEndian(_events.AsSpan(8), hasSyndrome ? syndrome : 0);
        return 0;
    }

    // PSCI by HVC (Arm DEN0022): off and reset leave the guest, the version is answered, the rest is not supported.
    private Stop CallFirmware()
    {
        const ulong version = 0x8400_0000;
        const ulong off = 0x8400_0008;
        const ulong reset = 0x8400_0009;
        var function = (uint)_cpu.R[0];
        if (function is (uint)off or (uint)reset)
        {
            _systemEvent = function == off ? 1UL : 2; // KVM_SYSTEM_EVENT_SHUTDOWN, KVM_SYSTEM_EVENT_RESET
            return Stop.SystemEvent;
        }

        var psci = 0UL;
        if (function == version)
            _firmware!.Read(Arm64Registers.FirmwareRegisters[0].Id, out psci);
        _cpu.R[0] = function == version ? psci : ulong.MaxValue;
        return Stop.Spent;
    }
}
