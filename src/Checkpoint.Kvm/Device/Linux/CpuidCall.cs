using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>The calls that move struct kvm_cpuid2: a count, then entries of 40 bytes.</summary>
internal static unsafe class CpuidCall
{
    private static readonly int s_headerBytes = Unsafe.SizeOf<kvm_cpuid2>();
    private static readonly int s_entryBytes = Unsafe.SizeOf<kvm_cpuid_entry2>();

    internal static ReadOnlyMemory<byte> Get(KvmFd fd, in KvmRequest request, int maxEntries, int? vcpu)
    {
        var buffer = new byte[s_headerBytes + (maxEntries * s_entryBytes)];
        MemoryMarshal.Write(buffer, maxEntries);
        // The buffer is pinned for the call; the kernel writes at most the count it finds there, which is the buffer's.
        fixed (byte* pointer = buffer)
            Ioctl.Pointer(fd, request, pointer, vcpu);
        var count = Math.Min(MemoryMarshal.Read<int>(buffer), maxEntries);
        return buffer.AsSpan(s_headerBytes, count * s_entryBytes).ToArray();
    }

    internal static void Set(KvmFd fd, in KvmRequest request, ReadOnlySpan<byte> entries, int? vcpu)
    {
        if (entries.Length % s_entryBytes != 0)
            throw new ArgumentException($"CPUID entries have {s_entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        var buffer = new byte[s_headerBytes + entries.Length];
        MemoryMarshal.Write(buffer, entries.Length / s_entryBytes);
        entries.CopyTo(buffer.AsSpan(s_headerBytes));
        // The buffer is pinned for the call; the kernel reads the header and the entries that it counts.
        fixed (byte* pointer = buffer)
            Ioctl.Pointer(fd, request, pointer, vcpu);
    }
}
