using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>The fd of a device that the kernel emulates. Disposing closes it; the device lives on with its VM.</summary>
public sealed class DeviceHandle : IKvmDevice
{
    private readonly KvmFd _fd;

    internal DeviceHandle(KvmFd fd) => _fd = fd;

    /// <summary>Takes the fd of a device that the caller created.</summary>
    /// <param name="fd">The fd that KVM_CREATE_DEVICE gave.</param>
    /// <param name="ownsHandle">Whether disposing closes the fd.</param>
    public static DeviceHandle Adopt(int fd, bool ownsHandle) => new(KvmFd.Adopt(fd, ownsHandle));

    /// <inheritdoc/>
    public bool HasAttribute(uint group, ulong attribute) => AttributeCall.Has(_fd, group, attribute);

    /// <inheritdoc/>
    public ulong GetAttribute(uint group, ulong attribute) => AttributeCall.Get(_fd, group, attribute, vcpu: null);

    /// <inheritdoc/>
    public void SetAttribute(uint group, ulong attribute, ulong value) => AttributeCall.Set(_fd, group, attribute, value, vcpu: null);

    /// <inheritdoc/>
    public void Dispose() => _fd.Dispose();
}
