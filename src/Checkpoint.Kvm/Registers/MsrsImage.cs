using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>KVM_GET_MSRS and KVM_SET_MSRS (x86): struct kvm_msrs, a count and entries of (index, value).</summary>
internal sealed class MsrsImage : RegisterImage
{
    // MAX_IO_MSRS is 256, and the kernel answers E2BIG from that many on.
    private const int MaxPerCall = 255;
    private const int HeaderSize = 8;
    private const int EntrySize = 16;
    private const int ValueOffset = 8;
    private const int Asked = 3;

    private readonly byte[][] _calls;

    public MsrsImage(ulong[] ids)
        : base(ids) => _calls = [.. ids.Chunk(MaxPerCall).Select(chunk => Layout(chunk))];

    public override RegisterBatching Batching => RegisterBatching.Msrs;

    private protected override string SetRequest => "KVM_SET_MSRS";

    public override Span<byte> ValueOf(int index) => Value(_calls[index / MaxPerCall], index % MaxPerCall);

    public override void Read(IVcpu vcpu)
    {
        for (var i = 0; i < _calls.Length; i++)
        {
            var read = vcpu.GetMsrs(_calls[i]);
            if (read < CountOf(_calls[i]))
                throw CouldNotRead("KVM_GET_MSRS", Errno.EINVAL, vcpu, (i * MaxPerCall) + read);
        }
    }

    public override IReadOnlyList<RefusedRegister> Write(IVcpu vcpu)
    {
        var refused = new List<RefusedRegister>();
        for (var done = 0; done < Ids.Count;)
        {
            // The call stops at a refused MSR and returns how many it wrote; asked for alone that one would give EINVAL.
            var call = Rest(done);
            var written = vcpu.SetMsrs(call);
            done += written;
            if (written < CountOf(call))
                refused.Add(new RefusedRegister(done++, Errno.EINVAL));
        }

        return refused;
    }

    /// <summary>The registers, out of these, that a vCPU can read: KVM lists MSRs that one without the matching CPUID bit has not.</summary>
    public static IReadOnlyList<ulong> Readable(IVcpu vcpu, IEnumerable<uint> listed)
    {
        var readable = new List<ulong>();
        var rest = listed.Distinct().Order().Select(StateIds.X64Msr).ToArray().AsSpan();
        while (rest.Length > 0)
        {
            var call = rest[..Math.Min(rest.Length, MaxPerCall)];
            var read = vcpu.GetMsrs(Layout(call));
            readable.AddRange(call[..read]);
            if (read < call.Length && IsReadable(vcpu, call[read]))
                readable.Add(call[read++]);
            else if (read < call.Length)
                read++;
            rest = rest[read..];
        }

        return readable;
    }

    // One that the vCPU has not is refused every time. One that was refused for a moment would be missing from all of a machine's
    // checkpoints, and no host that has it could take them.
    private static bool IsReadable(IVcpu vcpu, ulong id)
    {
        for (var i = 0; i < Asked; i++)
        {
            if (vcpu.GetMsrs(Layout([id])) == 1)
                return true;
        }

        return false;
    }

    private byte[] Rest(int done)
    {
        var ids = (ulong[])Ids;
        var call = Layout(ids.AsSpan(done, Math.Min(MaxPerCall, ids.Length - done)));
        for (var i = 0; i < CountOf(call); i++)
            ValueOf(done + i).CopyTo(Value(call, i));
        return call;
    }

    private static byte[] Layout(ReadOnlySpan<ulong> ids)
    {
        var call = GC.AllocateArray<byte>(HeaderSize + (EntrySize * ids.Length), pinned: true);
        BinaryPrimitives.WriteInt32LittleEndian(call, ids.Length);
        for (var i = 0; i < ids.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(call.AsSpan(HeaderSize + (EntrySize * i)), (uint)ids[i]);
        return call;
    }

    private static int CountOf(ReadOnlySpan<byte> call) => BinaryPrimitives.ReadInt32LittleEndian(call);

    private static Span<byte> Value(Span<byte> call, int entry) => call.Slice(HeaderSize + (EntrySize * entry) + ValueOffset, 8);
}
