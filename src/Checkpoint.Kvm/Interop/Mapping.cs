using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>Mapped pages: unmapped when the last user lets go.</summary>
internal sealed unsafe class Mapping : SafeHandle
{
    internal const ulong HugePageBytes = 2 << 20;

    private readonly bool _unmaps;

    private Mapping(nint address, ulong lengthBytes, bool unmaps)
        : base(0, ownsHandle: true)
    {
        LengthBytes = lengthBytes;
        _unmaps = unmaps;
        SetHandle(address);
    }

    internal ulong LengthBytes { get; }

    /// <summary>The first byte. The caller holds the handle while it uses the address.</summary>
    internal byte* Address => (byte*)handle;

    /// <summary>Whether the last user has let go.</summary>
    internal bool IsReleased { get; private set; }

    public override bool IsInvalid => handle is 0 or -1;

    /// <summary>The pages that a vCPU fd shares with the kernel.</summary>
    internal static Mapping OfVcpu(KvmFd vcpu, int lengthBytes, int index)
    {
        var address = Libc.mmap(0, (nuint)lengthBytes, Libc.PROT_READ | Libc.PROT_WRITE, Libc.MAP_SHARED, vcpu, 0);
        if (address == -1)
            KvmError.ThrowLast("mmap of struct kvm_run", index);
        return new Mapping(address, (ulong)lengthBytes, unmaps: true);
    }

    /// <summary>
    /// Fresh zeroed pages. From 2 MiB on the host address and the guest address have the same place inside their 2 MiB: only
    /// then can the kernel back both with huge pages.
    /// </summary>
    internal static Mapping OfZeros(ulong lengthBytes, ulong guestAddress)
    {
        var wantsHugePages = lengthBytes >= HugePageBytes;
        var reservedBytes = wantsHugePages ? checked(lengthBytes + HugePageBytes) : lengthBytes;
        const int flags = Libc.MAP_PRIVATE | Libc.MAP_ANONYMOUS | Libc.MAP_NORESERVE;
        var reserved = Libc.mmap(0, (nuint)reservedBytes, Libc.PROT_READ | Libc.PROT_WRITE, flags, -1, 0);
        if (reserved == -1)
            KvmError.ThrowLast("mmap of guest memory");

        var address = reserved;
        if (wantsHugePages)
        {
            // What lies before the place and after the wanted length goes back at once; nobody has seen it yet.
            var place = guestAddress % HugePageBytes;
            address = (nint)((((ulong)reserved - place + HugePageBytes - 1) & ~(HugePageBytes - 1)) + place);
            var headBytes = (ulong)(address - reserved);
            var tailBytes = HugePageBytes - headBytes;
            if (headBytes != 0)
                _ = Libc.munmap(reserved, (nuint)headBytes);
            if (tailBytes != 0)
                _ = Libc.munmap(address + (nint)lengthBytes, (nuint)tailBytes);
        }

        Advise(address, lengthBytes, wantsHugePages);
        return new Mapping(address, lengthBytes, unmaps: true);
    }

    /// <summary>Pages that somebody else mapped and will unmap.</summary>
    internal static Mapping Adopt(nint address, ulong lengthBytes) => new(address, lengthBytes, unmaps: false);

    protected override bool ReleaseHandle()
    {
        IsReleased = true;
        return !_unmaps || Libc.munmap(handle, (nuint)LengthBytes) == 0;
    }

    // Advice only: a kernel without huge pages runs the guest as well. Guest memory is kept out of children, whose
    // copy-on-write would move pages away from under the guest, and out of core dumps, where a guest's secrets would lie.
    private static void Advise(nint address, ulong lengthBytes, bool wantsHugePages)
    {
        if (wantsHugePages)
            _ = Libc.madvise(address, (nuint)lengthBytes, Libc.MADV_HUGEPAGE);
        _ = Libc.madvise(address, (nuint)lengthBytes, Libc.MADV_DONTFORK);
        _ = Libc.madvise(address, (nuint)lengthBytes, Libc.MADV_DONTDUMP);
    }
}
