using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>A kernel some of whose calls go wrong, those of its VMs, vCPUs, devices and memories among them (docs/FAULTS.md).</summary>
/// <param name="inner">The kernel, of whichever kind; disposing of this one disposes of it.</param>
/// <param name="faults">What is to go wrong.</param>
/// <param name="machine">What rules call the machine that is built here (<see cref="FaultSite.Machine"/>), where one plan is about several.</param>
public sealed class FaultyKvm(IKvm inner, FaultPlan faults, string? machine = null) : IKvm
{
    private readonly FaultGate _gate = new(faults, "kvm", name: machine);

    /// <summary>The kernel behind.</summary>
    public IKvm Inner => inner;

    /// <inheritdoc/>
    public int ApiVersion
    {
        get
        {
            _gate.Pass(KvmRequests.GetApiVersion.Name);
            return inner.ApiVersion;
        }
    }

    /// <inheritdoc/>
    public ulong CounterHz => inner.CounterHz;

    /// <inheritdoc/>
    public int CheckExtension(uint capability)
    {
        _gate.Pass(KvmRequests.CheckExtension.Name);
        return inner.CheckExtension(capability);
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> GetSupportedCpuid()
    {
        _gate.Pass(KvmRequests.GetSupportedCpuid.Name);
        return inner.GetSupportedCpuid();
    }

    /// <inheritdoc/>
    public uint[] GetMsrIndexList()
    {
        _gate.Pass(KvmRequests.GetMsrIndexList.Name);
        return inner.GetMsrIndexList();
    }

    /// <inheritdoc/>
    public IVm CreateVm(ulong type = 0)
    {
        _gate.Pass(KvmRequests.CreateVm.Name);
        return new FaultyVm(inner.CreateVm(type), faults, machine);
    }

    /// <inheritdoc/>
    public void Dispose() => inner.Dispose();
}
