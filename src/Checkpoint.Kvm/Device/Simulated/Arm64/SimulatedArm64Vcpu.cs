namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>placeholder</summary>
public sealed class SimulatedArm64Vcpu : SimulatedVcpu
{
    internal const byte GenericTarget = 5;
    internal SimulatedArm64Vcpu(SimulatedVm vm, uint id, int index) : base(vm, id, index) { }
    private protected override int NoSuchRegister => Errno.ENOENT;
    private protected override bool HasOneReg => true;
    private protected override bool IsRunnable => true;
    private protected override bool SleepsInKernel => true;
    private protected override int ReadStruct(in KvmRequest request, Span<byte> argument) => Errno.EINVAL;
    private protected override int WriteStruct(in KvmRequest request, ReadOnlySpan<byte> argument) => Errno.EINVAL;
    private protected override int ReadRegister(ulong id, Span<byte> value) => Errno.ENOENT;
    private protected override int WriteRegister(ulong id, ReadOnlySpan<byte> value) => Errno.ENOENT;
    private protected override IEnumerable<ulong> ListRegisters() => [];
    private protected override Stop Execute(int budget, out int executed) { executed = 0; return Stop.UnknownInstruction; }
    private protected override void CompleteAccess(in PendingAccess access, ReadOnlySpan<byte> data) { }
    private protected override void Halt() { }
}
