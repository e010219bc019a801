using Checkpoint.Kvm.Device.Simulated.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>What KVM_CHECK_EXTENSION answers. A capability that is not named here is not there.</summary>
internal sealed class SimulatedCapabilities(SimulatedKvmOptions options)
{
    public const int MemorySlots = 32764; // KVM_USER_MEM_SLOTS
    public const int Routes = 4096; // KVM_MAX_IRQ_ROUTES

    private const uint PointerAuthAddress = 171; // KVM_CAP_ARM_PTRAUTH_ADDRESS
    private const uint PointerAuthGeneric = 172; // KVM_CAP_ARM_PTRAUTH_GENERIC
    private const int RecommendedVcpus = 2;
    private const int X2ApicFlags = 15;
    private const int ClockFlags = 14; // TSC_STABLE, REALTIME, HOST_TSC: what KVM_GET_CLOCK may return.
    private const int ManualProtectFlags = 3;
    private const int AllSyncRegs = 7; // KVM_SYNC_X86_VALID_FIELDS
    private const int PhysicalAddressBits = 48;

    public int ValueOf(uint capability) =>
        Shared(capability) ?? (options.Architecture == MachineArchitecture.X64 ? X64(capability) : Arm64(capability));

    private int? Shared(uint capability) => capability switch
    {
        KvmCapability.Irqchip or KvmCapability.UserMemory or KvmCapability.MpState => 1,
        KvmCapability.VcpuEvents or KvmCapability.EnableCapVm or KvmCapability.CheckExtensionVm => 1,
        KvmCapability.ReadonlyMemory or KvmCapability.ImmediateExit or KvmCapability.SignalMsi => 1,
        KvmCapability.DeviceControl => options.Architecture == MachineArchitecture.Arm64 ? 1 : 0,
        KvmCapability.RecommendedVcpus => RecommendedVcpus,
        KvmCapability.MemorySlots => MemorySlots,
        KvmCapability.MaxVcpus => options.MaxVcpus,
        KvmCapability.IrqRouting => Routes,
        KvmCapability.ManualDirtyLogProtect2 => ManualProtectFlags,
        KvmCapability.ManyRegs => options.ManyRegs == SimulatedManyRegs.Counting ? RegisterBatch.MaxRegisters : 0,
        _ => null,
    };

    private int X64(uint capability) => capability switch
    {
        KvmCapability.SetTssAddress or KvmCapability.ExtendedCpuid or KvmCapability.Pit2 or KvmCapability.PitState2 => 1,
        KvmCapability.SetBootCpuId or KvmCapability.SetIdentityMapAddress or KvmCapability.DebugRegs or KvmCapability.EnableCap => 1,
        KvmCapability.Xsave or KvmCapability.Xcrs or KvmCapability.GetTscKhz or KvmCapability.TscDeadlineTimer => 1,
        KvmCapability.KvmclockCtrl or KvmCapability.ExceptionPayload or KvmCapability.X86TripleFaultEvent => 1,
        KvmCapability.TscControl => options.TscControl ? 1 : 0,
        KvmCapability.AdjustClock => ClockFlags,
        KvmCapability.X2ApicApi => X2ApicFlags,
        KvmCapability.OneReg => options.OneReg ? 1 : 0,
        KvmCapability.SplitIrqchip => options.SplitIrqchip ? 1 : 0,
        KvmCapability.Sregs2 => options.Sregs2 ? 1 : 0,
        KvmCapability.Xsave2 => options.Xsave2Bytes,
        KvmCapability.NestedState => options.NestedState ? X64Nested.MostBytes : 0,
        KvmCapability.SyncRegs => options.SyncRegs ? AllSyncRegs : 0,
        KvmCapability.VcpuAttributes => options.TscOffset ? 1 : 0,
        _ => 0,
    };

    private int Arm64(uint capability) => capability switch
    {
        KvmCapability.OneReg => 1,
        KvmCapability.ArmPmuV3 => options.Arm64.Pmu ? 1 : 0,
        KvmCapability.ArmSve => options.Arm64.SveVectorLengths > 0 ? 1 : 0,
        KvmCapability.ArmVmIpaSize => PhysicalAddressBits,
        KvmCapability.VcpuAttributes => 1,
        PointerAuthAddress or PointerAuthGeneric => options.Arm64.PointerAuthentication ? 1 : 0,
        _ => 0,
    };
}
