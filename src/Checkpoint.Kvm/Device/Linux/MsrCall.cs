using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>The calls that move struct kvm_msrs: a count, then entries of 16 bytes.</summary>
internal static unsafe class MsrCall
{
    private static readonly int s_headerBytes = Unsafe.SizeOf<kvm_msrs>();
    private static readonly int s_entryBytes = Unsafe.SizeOf<kvm_msr_entry>();

    internal static int Make(KvmFd fd, in KvmRequest request, ReadOnlySpan<byte> msrs, int? vcpu)
    {
        if (msrs.Length < s_headerBytes || MemoryMarshal.Read<uint>(msrs) > (msrs.Length - s_headerBytes) / s_entryBytes)
            throw new ArgumentException("struct kvm_msrs is shorter than its count says.", nameof(msrs));
        // The struct belongs to the caller and is pinned for the call; the kernel touches the header and the entries that it
        // counts, which were found to lie inside. KVM_GET_MSRS writes them: its caller gave a writable span.
        fixed (byte* pointer = msrs)
            return Ioctl.Pointer(fd, request, pointer, vcpu);
    }
}
