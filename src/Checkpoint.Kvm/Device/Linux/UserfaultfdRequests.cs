using System.Runtime.CompilerServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>The ioctls of a userfaultfd (Documentation/admin-guide/mm/userfaultfd.rst); codes are computed as in <see cref="KvmRequests"/>.</summary>
internal static class UserfaultfdRequests
{
    private const uint Type = 0xaa;
    private const uint UserReads = 2;
    private const uint UserWritesAndReads = 3;

    /// <summary>USERFAULTFD_IOC_NEW, on /dev/userfaultfd: makes a userfaultfd; the argument is its flags.</summary>
    internal static readonly KvmRequest New = new(Type << 8, "USERFAULTFD_IOC_NEW");

    internal static readonly KvmRequest Api = Compose<uffdio_api>(UserWritesAndReads, 0x3f, "UFFDIO_API");
    internal static readonly KvmRequest Register = Compose<uffdio_register>(UserWritesAndReads, 0x00, "UFFDIO_REGISTER");
    internal static readonly KvmRequest Unregister = Compose<uffdio_range>(UserReads, 0x01, "UFFDIO_UNREGISTER");
    internal static readonly KvmRequest Wake = Compose<uffdio_range>(UserReads, 0x02, "UFFDIO_WAKE");
    internal static readonly KvmRequest Copy = Compose<uffdio_copy>(UserWritesAndReads, 0x03, "UFFDIO_COPY");
    internal static readonly KvmRequest ZeroPage = Compose<uffdio_zeropage>(UserWritesAndReads, 0x04, "UFFDIO_ZEROPAGE");

    /// <summary>Since Linux 6.8.</summary>
    internal static readonly KvmRequest Move = Compose<uffdio_move>(UserWritesAndReads, 0x05, "UFFDIO_MOVE");

    /// <summary>Since Linux 5.7.</summary>
    internal static readonly KvmRequest WriteProtect = Compose<uffdio_writeprotect>(UserWritesAndReads, 0x06, "UFFDIO_WRITEPROTECT");

    private static KvmRequest Compose<T>(uint direction, uint number, string name)
        where T : unmanaged => new((direction << 30) | ((uint)Unsafe.SizeOf<T>() << 16) | (Type << 8) | number, name);
}
