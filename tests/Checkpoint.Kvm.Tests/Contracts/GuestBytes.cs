using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Guest memory as an array.</summary>
internal static class GuestBytes
{
    internal static byte[] ReadBytes(this IGuestMemory memory, ulong guestAddress, ulong length)
    {
        var bytes = new byte[length];
        memory.Read(guestAddress, bytes);
        return bytes;
    }
}
