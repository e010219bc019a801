using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// KVM_HAS_DEVICE_ATTR, KVM_GET_DEVICE_ATTR and KVM_SET_DEVICE_ATTR on vCPU and device fds. Values have four or eight bytes,
/// which the attribute decides; eight are given, so that the kernel never goes beyond them.
/// </summary>
internal static unsafe class AttributeCall
{
    internal static bool Has(KvmFd fd, uint group, ulong attribute)
    {
        var argument = new kvm_device_attr { group = group, attr = attribute };
        // The struct lives on this stack until the call returns.
        return Ioctl.TryPointer(fd, KvmRequests.HasDeviceAttr, &argument) >= 0;
    }

    internal static ulong Get(KvmFd fd, uint group, ulong attribute, int? vcpu)
    {
        ulong value = 0;
        Call(fd, KvmRequests.GetDeviceAttr, group, attribute, &value, vcpu);
        return value;
    }

    internal static void Set(KvmFd fd, uint group, ulong attribute, ulong value, int? vcpu) =>
        Call(fd, KvmRequests.SetDeviceAttr, group, attribute, &value, vcpu);

    // The value lives on the caller's stack until the call returns; the kernel touches at most its eight bytes.
    private static void Call(KvmFd fd, in KvmRequest request, uint group, ulong attribute, ulong* value, int? vcpu)
    {
        var argument = new kvm_device_attr { group = group, attr = attribute, addr = (ulong)value };
        Ioctl.Struct(fd, request, ref argument, vcpu);
    }
}
