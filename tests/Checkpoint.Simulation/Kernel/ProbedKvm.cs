using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Protocol.State;

namespace Checkpoint.Simulation.Kernel;

/// <summary>The simulated kernel as one machine sees it; the probe learns of what is made there, and of what runs.</summary>
internal sealed class ProbedKvm(SimulatedKvm inner, MachineProbe probe) : IKvm
{
    public int ApiVersion => inner.ApiVersion;

    public ulong CounterHz => inner.CounterHz;

    public int CheckExtension(uint capability) => inner.CheckExtension(capability);

    public ReadOnlyMemory<byte> GetSupportedCpuid() => inner.GetSupportedCpuid();

    public uint[] GetMsrIndexList() => inner.GetMsrIndexList();

    public IVm CreateVm(ulong type = 0) => new ProbedVm(inner.CreateVm(type), probe);

    public void Dispose() => inner.Dispose();
}

/// <summary>A VM of it.</summary>
internal sealed class ProbedVm : IVm
{
    private readonly SimulatedVm _inner;
    private readonly MachineProbe _probe;
    private bool _isDisposed;

    public ProbedVm(SimulatedVm inner, MachineProbe probe)
    {
        _inner = inner;
        _probe = probe;
        probe.Open++;
    }

    public int CheckExtension(uint capability) => _inner.CheckExtension(capability);

    public void EnableCapability(EnabledCapability capability) => _inner.EnableCapability(capability);

    public IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions) => _probe.Memory = _inner.CreateMemory(regions);

    public void SetDirtyLogging(uint slot, bool on) => _inner.SetDirtyLogging(slot, on);

    public void GetDirtyLog(uint slot, Span<ulong> bitmap) => _inner.GetDirtyLog(slot, bitmap);

    public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap) => _inner.ClearDirtyLog(slot, firstPage, pages, bitmap);

    public void SetTssAddress(ulong guestAddress) => _inner.SetTssAddress(guestAddress);

    public void SetIdentityMapAddress(ulong guestAddress) => _inner.SetIdentityMapAddress(guestAddress);

    public void CreateIrqchip() => _inner.CreateIrqchip();

    public void CreatePit() => _inner.CreatePit();

    public void SetGsiRouting(ReadOnlySpan<byte> entries) => _inner.SetGsiRouting(entries);

    public void Get(KvmRequest request, Span<byte> argument) => _inner.Get(request, argument);

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument) => _inner.Set(request, argument);

    public IKvmDevice CreateDevice(uint type) => _inner.CreateDevice(type);

    public IVcpu CreateVcpu(uint id, int index)
    {
        var vcpu = new ProbedVcpu(_inner.CreateVcpu(id, index), _probe);
        _probe.Add(vcpu);
        return vcpu;
    }

    public void Dispose()
    {
        if (!_isDisposed)
            _probe.Open--;
        _isDisposed = true;
        _inner.Dispose();
    }
}
