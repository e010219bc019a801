using Checkpoint.Kvm.Device;

namespace Checkpoint.FaultSoak;

/// <summary>A kernel that somebody else disposes of.</summary>
internal sealed class Borrowed(IKvm kvm) : IKvm
{
    public int ApiVersion => kvm.ApiVersion;

    public ulong CounterHz => kvm.CounterHz;

    public int CheckExtension(uint capability) => kvm.CheckExtension(capability);

    public ReadOnlyMemory<byte> GetSupportedCpuid() => kvm.GetSupportedCpuid();

    public uint[] GetMsrIndexList() => kvm.GetMsrIndexList();

    public IVm CreateVm(ulong type = 0) => kvm.CreateVm(type);

    public void Dispose()
    {
    }
}
