using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>A kernel seen from the seam: a test hears of every call before it is made, may refuse it by throwing, and knows what is still open.</summary>
internal sealed class WatchedKvm(IKvm inner, Action<string> onCall) : IKvm
{
    private readonly Lock _gate = new();
    private readonly List<string> _open = [];

    /// <summary>The VMs, memories and vCPUs that nobody has disposed of.</summary>
    public IReadOnlyList<string> Open
    {
        get
        {
            lock (_gate)
                return [.. _open];
        }
    }

    /// <summary>The MSRs that vCPUs were told to set, in order, whichever call carried them.</summary>
    public List<uint> MsrsSet { get; } = [];

    public int ApiVersion => inner.ApiVersion;

    public ulong CounterHz => inner.CounterHz;

    public int CheckExtension(uint capability) => Watch("KVM_CHECK_EXTENSION", () => inner.CheckExtension(capability));

    public ReadOnlyMemory<byte> GetSupportedCpuid() => inner.GetSupportedCpuid();

    public uint[] GetMsrIndexList() => Watch("KVM_GET_MSR_INDEX_LIST", inner.GetMsrIndexList);

    public IVm CreateVm(ulong type = 0) => Watch("KVM_CREATE_VM", () => new Vm(this, inner.CreateVm(type)));

    public void Dispose() => inner.Dispose();

    private void Add(string what)
    {
        lock (_gate)
            _open.Add(what);
    }

    private void Close(string what)
    {
        lock (_gate)
            _open.Remove(what);
    }

    private T Watch<T>(string call, Func<T> make)
    {
        onCall(call);
        return make();
    }

    private void Watch(string call, Action make)
    {
        onCall(call);
        make();
    }

    private sealed class Vm : IVm
    {
        private readonly WatchedKvm _kvm;
        private readonly IVm _vm;

        public Vm(WatchedKvm kvm, IVm vm)
        {
            _kvm = kvm;
            _vm = vm;
            kvm.Add("vm");
        }

        public int CheckExtension(uint capability) => _kvm.Watch("KVM_CHECK_EXTENSION", () => _vm.CheckExtension(capability));

        public void EnableCapability(EnabledCapability capability) => _kvm.Watch("KVM_ENABLE_CAP", () => _vm.EnableCapability(capability));

        public IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions) =>
            _kvm.Watch("KVM_SET_USER_MEMORY_REGION", () => new Memory(_kvm, _vm.CreateMemory(regions)));

        public void SetDirtyLogging(uint slot, bool on) => _kvm.Watch("KVM_SET_USER_MEMORY_REGION", () => _vm.SetDirtyLogging(slot, on));

        public void GetDirtyLog(uint slot, Span<ulong> bitmap)
        {
            _kvm.Watch("KVM_GET_DIRTY_LOG", () => { });
            _vm.GetDirtyLog(slot, bitmap);
        }

        public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap)
        {
            _kvm.Watch("KVM_CLEAR_DIRTY_LOG", () => { });
            _vm.ClearDirtyLog(slot, firstPage, pages, bitmap);
        }

        public void SetTssAddress(ulong guestAddress) => _kvm.Watch("KVM_SET_TSS_ADDR", () => _vm.SetTssAddress(guestAddress));

        public void SetIdentityMapAddress(ulong guestAddress) => _kvm.Watch("KVM_SET_IDENTITY_MAP_ADDR", () => _vm.SetIdentityMapAddress(guestAddress));

        public void CreateIrqchip() => _kvm.Watch("KVM_CREATE_IRQCHIP", _vm.CreateIrqchip);

        public void CreatePit() => _kvm.Watch("KVM_CREATE_PIT2", _vm.CreatePit);

        public void SetGsiRouting(ReadOnlySpan<byte> entries)
        {
            _kvm.Watch("KVM_SET_GSI_ROUTING", () => { });
            _vm.SetGsiRouting(entries);
        }

        public void Get(KvmRequest request, Span<byte> argument)
        {
            _kvm.Watch(request.Name, () => { });
            _vm.Get(request, argument);
        }

        public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
        {
            _kvm.Watch(request.Name, () => { });
            _vm.Set(request, argument);
        }

        public IKvmDevice CreateDevice(uint type) => _kvm.Watch("KVM_CREATE_DEVICE", () => new Device(_kvm, _vm.CreateDevice(type)));

        public IVcpu CreateVcpu(uint id, int index) => _kvm.Watch("KVM_CREATE_VCPU", () => new WatchedVcpu(_kvm, _vm.CreateVcpu(id, index)));

        public void Dispose()
        {
            _kvm.Close("vm");
            _vm.Dispose();
        }
    }

    private sealed class Memory : IGuestMemory
    {
        private readonly WatchedKvm _kvm;
        private readonly IGuestMemory _memory;

        public Memory(WatchedKvm kvm, IGuestMemory memory)
        {
            _kvm = kvm;
            _memory = memory;
            kvm.Add("memory");
        }

        public System.Collections.Immutable.ImmutableArray<MemoryRegion> Regions => _memory.Regions;

        public Kvm.Memory.WrittenPages? Written
        {
            get => _memory.Written;
            set => _memory.Written = value;
        }

        public void Read(ulong guestAddress, Span<byte> destination) => _memory.Read(guestAddress, destination);

        public void Write(ulong guestAddress, ReadOnlySpan<byte> source) => _memory.Write(guestAddress, source);

        public void Fill<TState>(ulong guestAddress, int length, TState state, System.Buffers.SpanAction<byte, TState> write) =>
            _memory.Fill(guestAddress, length, state, write);

        public void Dispose()
        {
            _kvm.Close("memory");
            _memory.Dispose();
        }
    }

    private sealed class Device : IKvmDevice
    {
        private readonly WatchedKvm _kvm;
        private readonly IKvmDevice _device;

        public Device(WatchedKvm kvm, IKvmDevice device)
        {
            _kvm = kvm;
            _device = device;
            kvm.Add("device");
        }

        public bool HasAttribute(uint group, ulong attribute) => _kvm.Watch("KVM_HAS_DEVICE_ATTR", () => _device.HasAttribute(group, attribute));

        public ulong GetAttribute(uint group, ulong attribute) => _kvm.Watch("KVM_GET_DEVICE_ATTR", () => _device.GetAttribute(group, attribute));

        public void SetAttribute(uint group, ulong attribute, ulong value) =>
            _kvm.Watch("KVM_SET_DEVICE_ATTR", () => _device.SetAttribute(group, attribute, value));

        public void Dispose()
        {
            _kvm.Close("device");
            _device.Dispose();
        }
    }

    private sealed class WatchedVcpu : IVcpu
    {
        private readonly WatchedKvm _kvm;
        private readonly IVcpu _vcpu;

        public WatchedVcpu(WatchedKvm kvm, IVcpu vcpu)
        {
            _kvm = kvm;
            _vcpu = vcpu;
            kvm.Add($"vCPU {vcpu.Index}");
        }

        public int Index => _vcpu.Index;

        public bool ImmediateExit
        {
            get => _vcpu.ImmediateExit;
            set => _vcpu.ImmediateExit = value;
        }

        public int CheckExtension(uint capability) => _kvm.Watch("KVM_CHECK_EXTENSION", () => _vcpu.CheckExtension(capability));

        public void Get(KvmRequest request, Span<byte> argument)
        {
            _kvm.Watch(request.Name, () => { });
            _vcpu.Get(request, argument);
        }

        public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
        {
            _kvm.Watch(request.Name, () => { });
            _vcpu.Set(request, argument);
        }

        public long Call(KvmRequest request, ulong argument) => _kvm.Watch(request.Name, () => _vcpu.Call(request, argument));

        public int GetMsrs(Span<byte> msrs)
        {
            _kvm.Watch("KVM_GET_MSRS", () => { });
            return _vcpu.GetMsrs(msrs);
        }

        public int SetMsrs(ReadOnlySpan<byte> msrs)
        {
            _kvm.Watch("KVM_SET_MSRS", () => { });
            for (var entry = 8; entry < msrs.Length; entry += 16)
                _kvm.MsrsSet.Add(System.Buffers.Binary.BinaryPrimitives.ReadUInt32LittleEndian(msrs[entry..]));
            return _vcpu.SetMsrs(msrs);
        }

        public ReadOnlyMemory<byte> GetCpuid() => _kvm.Watch("KVM_GET_CPUID2", _vcpu.GetCpuid);

        public void SetCpuid(ReadOnlySpan<byte> entries)
        {
            _kvm.Watch("KVM_SET_CPUID2", () => { });
            _vcpu.SetCpuid(entries);
        }

        public void GetOneReg(ulong id, Span<byte> value)
        {
            _kvm.Watch("KVM_GET_ONE_REG", () => { });
            _vcpu.GetOneReg(id, value);
        }

        public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
        {
            _kvm.Watch("KVM_SET_ONE_REG", () => { });
            _kvm.MsrsSet.Add((uint)id);
            _vcpu.SetOneReg(id, value);
        }

        public ulong[] GetRegList() => _kvm.Watch("KVM_GET_REG_LIST", _vcpu.GetRegList);

        public int GetManyRegs(RegisterBatch batch) => _kvm.Watch("KVM_GET_MANY_REGS", () => _vcpu.GetManyRegs(batch));

        public int SetManyRegs(RegisterBatch batch) => _kvm.Watch("KVM_SET_MANY_REGS", () => _vcpu.SetManyRegs(batch));

        public bool HasAttribute(uint group, ulong attribute) => _kvm.Watch("KVM_HAS_DEVICE_ATTR", () => _vcpu.HasAttribute(group, attribute));

        public ulong GetAttribute(uint group, ulong attribute) => _kvm.Watch("KVM_GET_DEVICE_ATTR", () => _vcpu.GetAttribute(group, attribute));

        public void SetAttribute(uint group, ulong attribute, ulong value)
        {
            _kvm.Watch("KVM_SET_DEVICE_ATTR", () => { });
            _vcpu.SetAttribute(group, attribute, value);
        }

        public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
        {
            var isThere = _vcpu.TryGetSyncRegs(regs, sregs, events);
            if (isThere)
                _kvm.Watch("KVM_RUN", () => { });
            return isThere;
        }

        public void BindToCurrentThread() => _vcpu.BindToCurrentThread();

        public void Unbind() => _vcpu.Unbind();

        public VcpuExit Run()
        {
            _kvm.Watch("KVM_RUN", () => { });
            return _vcpu.Run();
        }

        public void Kick() => _vcpu.Kick();

        public void Dispose()
        {
            _kvm.Close($"vCPU {Index}");
            _vcpu.Dispose();
        }
    }
}
