using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

/// <summary>
/// An arm64 kernel that keeps registers and writes down each call that changes something. It knows the rules of the order:
/// nothing before init, no list before finalize, vector lengths only between the two.
/// </summary>
internal sealed class FakeArm64Kvm : IKvm
{
    /// <summary>What changed something, in order: <c>0 INIT</c>, <c>0 sve_vls</c>, <c>1 TCR_EL1</c>, ….</summary>
    public List<string> Calls { get; } = [];

    /// <summary>The registers that a vCPU lists, without those of SVE.</summary>
    public List<ulong> Listed { get; init; } =
    [
        .. Arm64Registers.CoreRegisters.Select(each => each.Id),
        .. Arm64Registers.FirmwareRegisters.Select(each => each.Id),
        .. Arm64Registers.FirmwareBitmaps.Select(each => each.Id),
        .. Arm64SystemRegisters.Listed(),
        .. Enumerable.Range(0, 4).Select(Arm64Registers.CacheSize),
    ];

    /// <summary>Registers whose setting is refused, by id.</summary>
    public Dictionary<ulong, int> Refused { get; } = [];

    /// <summary>The host processor's MIDR_EL1.</summary>
    public ulong Midr { get; init; } = 0x413f_d0c1;

    /// <summary>The vector lengths that the host has.</summary>
    public byte VectorLengths { get; init; } = 0b1011;

    public bool HasSve { get; init; }

    public bool HasManyRegs { get; init; }

    public List<string> Open { get; } = [];

    public int ApiVersion => 12;

    public ulong CounterHz { get; init; }

    public int CheckExtension(uint capability) => capability switch
    {
        KvmCapability.ArmSve => HasSve ? 1 : 0,
        KvmCapability.MpState or KvmCapability.VcpuEvents or KvmCapability.OneReg => 1,
        _ => 0,
    };

    public ReadOnlyMemory<byte> GetSupportedCpuid() => throw new KvmException("KVM_GET_SUPPORTED_CPUID", Errno.EINVAL);

    public uint[] GetMsrIndexList() => throw new KvmException("KVM_GET_MSR_INDEX_LIST", Errno.EINVAL);

    public IVm CreateVm(ulong type = 0) => new Vm(this);

    public void Dispose()
    {
    }

    private sealed class Vm : IVm
    {
        private readonly FakeArm64Kvm _kvm;

        public Vm(FakeArm64Kvm kvm)
        {
            _kvm = kvm;
            kvm.Open.Add("vm");
        }

        public int CheckExtension(uint capability) => _kvm.CheckExtension(capability);

        public void EnableCapability(EnabledCapability capability) => _kvm.Calls.Add($"cap {capability.Capability}");

        public IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions) => new Memory(_kvm, regions);

        public void SetDirtyLogging(uint slot, bool on) => throw new NotSupportedException();

        public void GetDirtyLog(uint slot, Span<ulong> bitmap) => throw new NotSupportedException();

        public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap) => throw new NotSupportedException();

        public void SetTssAddress(ulong guestAddress) => throw new NotSupportedException();

        public void SetIdentityMapAddress(ulong guestAddress) => throw new NotSupportedException();

        public void CreateIrqchip() => throw new NotSupportedException();

        public void CreatePit() => throw new NotSupportedException();

        public void SetGsiRouting(ReadOnlySpan<byte> entries) => throw new NotSupportedException();

        public void Get(KvmRequest request, Span<byte> argument)
        {
            Assert.Equal(KvmRequests.ArmPreferredTarget, request);
            argument.Clear();
            argument[0] = 5; // KVM_ARM_TARGET_GENERIC_V8
        }

        public void Set(KvmRequest request, ReadOnlySpan<byte> argument) => throw new NotSupportedException();

        public IKvmDevice CreateDevice(uint type) => throw new KvmException("KVM_CREATE_DEVICE", Errno.ENODEV);

        public IVcpu CreateVcpu(uint id, int index)
        {
            _kvm.Open.Add($"vcpu {index}");
            return new FakeArm64Vcpu(_kvm, index);
        }

        public void Dispose() => _kvm.Open.Remove("vm");
    }

    private sealed class Memory : IGuestMemory
    {
        private readonly FakeArm64Kvm _kvm;
        private readonly byte[] _bytes;

        public Memory(FakeArm64Kvm kvm, IReadOnlyList<MemoryRegion> regions)
        {
            (_kvm, Regions, _bytes) = (kvm, [.. regions], new byte[regions[0].SizeBytes]);
            kvm.Open.Add("memory");
        }

        public ImmutableArray<MemoryRegion> Regions { get; }

        public Kvm.Memory.WrittenPages? Written { get; set; }

        public void Read(ulong guestAddress, Span<byte> destination) => _bytes.AsSpan((int)guestAddress, destination.Length).CopyTo(destination);

        public void Write(ulong guestAddress, ReadOnlySpan<byte> source) => source.CopyTo(_bytes.AsSpan((int)guestAddress));

        public void Fill<TState>(ulong guestAddress, int length, TState state, System.Buffers.SpanAction<byte, TState> write) =>
            write(_bytes.AsSpan((int)guestAddress, length), state);

        public void Dispose() => _kvm.Open.Remove("memory");
    }
}
