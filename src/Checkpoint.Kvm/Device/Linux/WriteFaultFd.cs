using System.Diagnostics.CodeAnalysis;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// A userfaultfd for writes to protected pages, as <c>ioctl_userfaultfd(2)</c> describes it (UFFDIO_WRITEPROTECT, Linux 5.7). It must report
/// the faults that the kernel has as well as the process's own, as KVM touches guest memory: that takes CAP_SYS_PTRACE or access to
/// /dev/userfaultfd.
/// </summary>
internal sealed unsafe class WriteFaultFd : IDisposable
{
    private const ulong ApiVersion = 0xaa;
    private const ulong FeatureWriteProtect = 1;
    private const ulong RegisterWriteProtect = 2;
    private const ulong Protected = 1;
    private const int NonBlocking = 0x800;
    private const int Flags = Libc.O_CLOEXEC | NonBlocking;
    private const uint UserReads = 2;
    private const uint UserWritesAndReads = 3;
    private const uint Type = 0xaa;

    private static readonly KvmRequest s_new = new(Type << 8, "USERFAULTFD_IOC_NEW");
    private static readonly KvmRequest s_api = Compose<uffdio_api>(UserWritesAndReads, 0x3f, "UFFDIO_API");
    private static readonly KvmRequest s_register = Compose<uffdio_register>(UserWritesAndReads, 0x00, "UFFDIO_REGISTER");
    private static readonly KvmRequest s_unregister = Compose<uffdio_range>(UserReads, 0x01, "UFFDIO_UNREGISTER");
    private static readonly KvmRequest s_writeProtect = Compose<uffdio_writeprotect>(UserWritesAndReads, 0x06, "UFFDIO_WRITEPROTECT");
    private static readonly nint s_userfaultfd = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 323 : 282;

    private readonly KvmFd _fd;

    private WriteFaultFd(KvmFd fd) => _fd = fd;

    /// <summary>What poll(2) waits on.</summary>
    internal KvmFd Fd => _fd;

    /// <summary>Opens one.</summary>
    /// <param name="opened">The userfaultfd.</param>
    /// <param name="obstacle">Why there is none for this process.</param>
    internal static bool TryOpen([NotNullWhen(true)] out WriteFaultFd? opened, [NotNullWhen(false)] out string? obstacle)
    {
        opened = null;
        var fd = Open(out var errno);
        if (fd is null)
        {
            obstacle = $"userfaultfd is not permitted here ({Errno.NameOf(errno)}); it takes CAP_SYS_PTRACE, or access to /dev/userfaultfd";
            return false;
        }

        var argument = new uffdio_api { api = ApiVersion, features = FeatureWriteProtect };
        var result = Ioctl.TryPointer(fd, s_api, &argument);
        if (result < 0)
        {
            fd.Dispose();
            obstacle = $"the kernel's userfaultfd cannot protect pages against writes (UFFDIO_API: {Errno.NameOf(-result)})";
            return false;
        }

        obstacle = null;
        opened = new WriteFaultFd(fd);
        return true;
    }

    /// <summary>Makes it possible to protect the range.</summary>
    /// <returns>0, or the error number: EBUSY where another userfaultfd has it.</returns>
    internal int TryRegister(ulong address, ulong length)
    {
        var argument = new uffdio_register { range = new() { start = address, len = length }, mode = RegisterWriteProtect };
        return Math.Min(0, Ioctl.TryPointer(_fd, s_register, &argument)) * -1;
    }

    /// <summary>The range is as any other again, and nobody waits in it.</summary>
    internal void Unregister(ulong address, ulong length)
    {
        var argument = new uffdio_range { start = address, len = length };
        _ = Ioctl.TryPointer(_fd, s_unregister, &argument);
    }

    /// <summary>From here on who writes to the range waits.</summary>
    internal void Protect(ulong address, ulong length) => Set(address, length, Protected);

    /// <summary>Lets writes through, and wakes those who wait.</summary>
    internal void Unprotect(ulong address, ulong length) => Set(address, length, 0);

    /// <summary>Takes the faults that have been reported, without waiting.</summary>
    /// <returns>How many there were.</returns>
    internal int Read(Span<uffd_msg> messages)
    {
        // The messages belong to the caller and are pinned for the call; the kernel writes at most as many bytes as it is told.
        fixed (uffd_msg* pointer = messages)
        {
            var bytes = Libc.read(_fd, pointer, (nuint)(messages.Length * sizeof(uffd_msg)));
            return bytes < 0 ? 0 : (int)(bytes / sizeof(uffd_msg));
        }
    }

    public void Dispose() => _fd.Dispose();

    private void Set(ulong address, ulong length, ulong mode)
    {
        // EAGAIN: the mappings of the process were changing; nothing is half done that doing it again would not do.
        while (true)
        {
            var argument = new uffdio_writeprotect { range = new() { start = address, len = length }, mode = mode };
            var result = Ioctl.TryPointer(_fd, s_writeProtect, &argument);
            if (result >= 0)
                return;
            if (result != -Errno.EAGAIN)
                KvmError.Throw(s_writeProtect.Name, -result);
        }
    }

    private static KvmFd? Open(out int errno)
    {
        errno = 0;
        var fd = Libc.syscall(s_userfaultfd, Flags, 0, 0);
        if (fd >= 0)
            return KvmFd.Adopt((int)fd, closes: true);
        errno = Marshal.GetLastPInvokeError();
        using var device = Libc.open("/dev/userfaultfd", Libc.O_RDWR | Libc.O_CLOEXEC);
        if (device.IsInvalid)
            return null;
        fd = Libc.ioctl(device, s_new.Code, (nuint)Flags);
        if (fd >= 0)
            return KvmFd.Adopt((int)fd, closes: true);
        errno = Marshal.GetLastPInvokeError();
        return null;
    }

    private static KvmRequest Compose<T>(uint direction, uint number, string name)
        where T : unmanaged => new((direction << 30) | ((uint)Unsafe.SizeOf<T>() << 16) | (Type << 8) | number, name);
}
