namespace Checkpoint.Kvm.Device.Faults;

/// <summary>A device of the kernel's some of whose calls go wrong.</summary>
internal sealed class FaultyDevice(IKvmDevice inner, FaultGate gate) : IKvmDevice
{
    public bool HasAttribute(uint group, ulong attribute)
    {
        gate.Pass(KvmRequests.HasDeviceAttr.Name);
        return inner.HasAttribute(group, attribute);
    }

    public ulong GetAttribute(uint group, ulong attribute)
    {
        gate.Pass(KvmRequests.GetDeviceAttr.Name);
        return inner.GetAttribute(group, attribute);
    }

    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        gate.Pass(KvmRequests.SetDeviceAttr.Name);
        inner.SetAttribute(group, attribute, value);
    }

    public void Dispose() => inner.Dispose();
}
