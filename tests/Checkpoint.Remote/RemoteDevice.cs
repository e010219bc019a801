using Checkpoint.Kvm.Device;

namespace Checkpoint.Remote;

/// <summary>A device of a VM on another machine.</summary>
internal sealed class RemoteDevice(RemoteVm vm, AgentLane lane, int fd) : IKvmDevice
{
    private bool _isDisposed;

    public bool HasAttribute(uint group, ulong attribute)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return RemoteAttribute.Has(lane, fd, group, attribute);
    }

    public ulong GetAttribute(uint group, ulong attribute)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return RemoteAttribute.Get(lane, fd, group, attribute, null);
    }

    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        RemoteAttribute.Set(lane, fd, group, attribute, value, null);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        var request = new AgentRequest();
        request.Close(fd);
        lane.Exchange(request);
        vm.Release();
    }
}
