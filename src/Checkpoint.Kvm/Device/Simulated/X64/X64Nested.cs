using System.Buffers.Binary;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>
/// struct kvm_nested_state of an Intel processor: kept, checked as KVM checks it, and given back. Its length follows from what
/// the guest's hypervisor does: the header alone, or with one page of its current control structure (Documentation/virt/kvm/api.rst).
/// </summary>
internal sealed class X64Nested
{
    public const int HeaderBytes = 128;
    public const int MostBytes = HeaderBytes + 4096 + 4096;

    private const int SizeOffset = 4;
    private const int VmxonOffset = 8;
    private const int CurrentOffset = 16;
    private const ushort GuestMode = 1; // KVM_STATE_NESTED_GUEST_MODE
    private const ushort RunPending = 2; // KVM_STATE_NESTED_RUN_PENDING
    private const ushort KnownFlags = 0x10f;
    private const ulong None = ulong.MaxValue;

    private byte[] _state = new byte[HeaderBytes];

    public X64Nested()
    {
        BinaryPrimitives.WriteInt32LittleEndian(_state.AsSpan(SizeOffset), HeaderBytes);
        BinaryPrimitives.WriteUInt64LittleEndian(_state.AsSpan(VmxonOffset), None);
        BinaryPrimitives.WriteUInt64LittleEndian(_state.AsSpan(CurrentOffset), None);
    }

    /// <summary>KVM_GET_NESTED_STATE: bytes behind the state's own length stay as they are.</summary>
    public int Get(Span<byte> argument)
    {
        var room = BinaryPrimitives.ReadUInt32LittleEndian(argument[SizeOffset..]);
        if (room < _state.Length)
        {
            BinaryPrimitives.WriteInt32LittleEndian(argument[SizeOffset..], _state.Length);
            return Errno.E2BIG;
        }

        _state.CopyTo(argument);
        return 0;
    }

    /// <summary>KVM_SET_NESTED_STATE.</summary>
    public int Set(ReadOnlySpan<byte> argument)
    {
        var flags = BinaryPrimitives.ReadUInt16LittleEndian(argument);
        var size = BinaryPrimitives.ReadUInt32LittleEndian(argument[SizeOffset..]);
        var vmxon = BinaryPrimitives.ReadUInt64LittleEndian(argument[VmxonOffset..]);
        var current = BinaryPrimitives.ReadUInt64LittleEndian(argument[CurrentOffset..]);
        var isOff = vmxon == None && (current != None || (flags & GuestMode) != 0);
        if (size is < HeaderBytes or > MostBytes || argument[2] != 0 || argument[3] != 0 || (flags & ~KnownFlags) != 0 || isOff)
            return Errno.EINVAL;
        if ((flags & (GuestMode | RunPending)) == RunPending)
            return Errno.EINVAL;
        _state = argument[..(int)size].ToArray();
        return 0;
    }
}
