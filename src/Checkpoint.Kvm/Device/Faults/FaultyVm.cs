using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>A VM some of whose calls go wrong, and those of what is created by it.</summary>
public sealed class FaultyVm : IVm
{
    private readonly IVm _inner;
    private readonly FaultGate _gate;
    private volatile bool _countsRegisters;

    /// <summary>Puts faults before a VM; a <see cref="FaultyKvm"/> does so itself.</summary>
    /// <param name="inner">The VM; disposing of this one disposes of it.</param>
    /// <param name="faults">What is to go wrong.</param>
    /// <param name="machine">What rules call this machine (<see cref="FaultSite.Machine"/>).</param>
    public FaultyVm(IVm inner, FaultPlan faults, string? machine = null)
    {
        _inner = inner;
        _gate = new FaultGate(faults, "vm", name: machine);
    }

    /// <summary>Whether the kernel says how many registers a failed batch did (KVM_CAP_MANY_REGS).</summary>
    internal bool CountsRegisters => _countsRegisters;

    /// <summary>Puts faults before a vCPU of this VM that was made elsewhere.</summary>
    public IVcpu Decorate(IVcpu vcpu) => new FaultyVcpu(vcpu, this, _gate.OfVcpu(vcpu.Index));

    /// <summary>Puts faults before memory of this VM that was made elsewhere.</summary>
    public IGuestMemory Decorate(IGuestMemory memory) => new FaultyMemory(memory, _gate.Of("memory"));

    /// <inheritdoc/>
    public int CheckExtension(uint capability)
    {
        _gate.Pass(KvmRequests.CheckExtension.Name);
        return _inner.CheckExtension(capability);
    }

    /// <inheritdoc/>
    public void EnableCapability(EnabledCapability capability)
    {
        _gate.Pass(KvmRequests.EnableCap.Name);
        _inner.EnableCapability(capability);
        _countsRegisters |= capability.Capability == KvmCapability.ManyRegs;
    }

    /// <inheritdoc/>
    public IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions)
    {
        _gate.Pass(KvmRequests.SetUserMemoryRegion.Name);
        return Decorate(_inner.CreateMemory(regions));
    }

    /// <inheritdoc/>
    public void SetDirtyLogging(uint slot, bool on)
    {
        _gate.Pass(KvmRequests.SetUserMemoryRegion.Name);
        _inner.SetDirtyLogging(slot, on);
    }

    /// <inheritdoc/>
    public void GetDirtyLog(uint slot, Span<ulong> bitmap)
    {
        _gate.Pass(KvmRequests.GetDirtyLog.Name);
        _inner.GetDirtyLog(slot, bitmap);
    }

    /// <inheritdoc/>
    public void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap)
    {
        _gate.Pass(KvmRequests.ClearDirtyLog.Name);
        _inner.ClearDirtyLog(slot, firstPage, pages, bitmap);
    }

    /// <inheritdoc/>
    public void SetTssAddress(ulong guestAddress)
    {
        _gate.Pass(KvmRequests.SetTssAddress.Name);
        _inner.SetTssAddress(guestAddress);
    }

    /// <inheritdoc/>
    public void SetIdentityMapAddress(ulong guestAddress)
    {
        _gate.Pass(KvmRequests.SetIdentityMapAddress.Name);
        _inner.SetIdentityMapAddress(guestAddress);
    }

    /// <inheritdoc/>
    public void CreateIrqchip()
    {
        _gate.Pass(KvmRequests.CreateIrqchip.Name);
        _inner.CreateIrqchip();
    }

    /// <inheritdoc/>
    public void CreatePit()
    {
        _gate.Pass(KvmRequests.CreatePit2.Name);
        _inner.CreatePit();
    }

    /// <inheritdoc/>
    public void SetGsiRouting(ReadOnlySpan<byte> entries)
    {
        _gate.Pass(KvmRequests.SetGsiRouting.Name);
        _inner.SetGsiRouting(entries);
    }

    /// <inheritdoc/>
    public void Get(KvmRequest request, Span<byte> argument)
    {
        _gate.Pass(request.Name);
        _inner.Get(request, argument);
    }

    /// <inheritdoc/>
    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        _gate.Pass(request.Name);
        _inner.Set(request, argument);
    }

    /// <inheritdoc/>
    public IKvmDevice CreateDevice(uint type)
    {
        _gate.Pass(KvmRequests.CreateDevice.Name);
        return new FaultyDevice(_inner.CreateDevice(type), _gate.Of("device"));
    }

    /// <inheritdoc/>
    public IVcpu CreateVcpu(uint id, int index)
    {
        _gate.Pass(KvmRequests.CreateVcpu.Name);
        return Decorate(_inner.CreateVcpu(id, index));
    }

    /// <inheritdoc/>
    public void Dispose() => _inner.Dispose();
}
