using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Remote;

/// <summary>The calls on device attributes: struct kvm_device_attr, with the value right behind it.</summary>
internal static class RemoteAttribute
{
    private const int ValueOffset = 24;
    private const int PointerOffset = 16;

    internal static bool Has(AgentLane lane, int fd, uint group, ulong attribute) =>
        lane.TryCall(fd, KvmRequests.HasDeviceAttr, Argument(group, attribute, 0), []) >= 0;

    internal static ulong Get(AgentLane lane, int fd, uint group, ulong attribute, int? vcpu)
    {
        ulong value = 0;
        lane.Call(
            fd, KvmRequests.GetDeviceAttr, Argument(group, attribute, 0), MemoryMarshal.AsBytes(new Span<ulong>(ref value)), vcpu, ValueOffset, PointToValue);
        return value;
    }

    internal static void Set(AgentLane lane, int fd, uint group, ulong attribute, ulong value, int? vcpu) =>
        lane.Call(fd, KvmRequests.SetDeviceAttr, Argument(group, attribute, value), [], vcpu, 0, PointToValue);

    private static byte[] Argument(uint group, ulong attribute, ulong value)
    {
        var argument = new byte[ValueOffset + sizeof(ulong)];
        MemoryMarshal.Write(argument, new kvm_device_attr { group = group, attr = attribute });
        MemoryMarshal.Write(argument.AsSpan(ValueOffset), value);
        return argument;
    }

    private static void PointToValue(Span<byte> argument, ulong address) =>
        MemoryMarshal.Write(argument[PointerOffset..], address + ValueOffset);
}
