using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>How a userfaultfd comes into being, how its faults are read, and how it lets go of memory, whichever faults those are (<c>userfaultfd(2)</c>).</summary>
internal static unsafe class UserfaultfdOpening
{
    private const ulong ApiVersion = 0xaa;
    private const int NonBlocking = 0x800;
    private const int Flags = Libc.O_CLOEXEC | NonBlocking;

    private static readonly nint s_userfaultfd = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 323 : 282;

    /// <summary>Opens one that reports the kernel's faults as well as the process's own.</summary>
    /// <param name="features">What it must be able to do.</param>
    /// <param name="errno">Why there is none.</param>
    /// <param name="obstacle">The same in words where this process is not permitted to have one; null where the kernel's cannot do what it must.</param>
    internal static KvmFd? TryOpen(ulong features, out int errno, out string? obstacle)
    {
        obstacle = null;
        var fd = Open(out errno);
        if (fd is null)
        {
            obstacle = $"userfaultfd is not permitted here ({Errno.NameOf(errno)}); it takes CAP_SYS_PTRACE, or access to /dev/userfaultfd";
            return null;
        }

        var argument = new uffdio_api { api = ApiVersion, features = features };
        var result = Ioctl.TryPointer(fd, UserfaultfdRequests.Api, &argument);
        if (result >= 0)
            return fd;
        fd.Dispose();
        errno = -result;
        return null;
    }

    /// <summary>Takes the faults that have been reported, without waiting.</summary>
    /// <returns>How many there were.</returns>
    internal static int Read(KvmFd fd, Span<uffd_msg> messages)
    {
        // The messages belong to the caller and are pinned for the call; the kernel writes at most as many bytes as it is told.
        fixed (uffd_msg* pointer = messages)
        {
            var bytes = Libc.read(fd, pointer, (nuint)(messages.Length * sizeof(uffd_msg)));
            return bytes < 0 ? 0 : (int)(bytes / sizeof(uffd_msg));
        }
    }

    /// <summary>
    /// Lets go of a range: nobody waits in it any more. Where the kernel says no there is nothing to let go of, and the closing of the
    /// descriptor does the same.
    /// </summary>
    internal static void Unregister(KvmFd fd, ulong address, ulong length)
    {
        var argument = new uffdio_range { start = address, len = length };
        _ = Ioctl.TryPointer(fd, UserfaultfdRequests.Unregister, &argument);
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
        fd = Libc.ioctl(device, UserfaultfdRequests.New.Code, (nuint)Flags);
        if (fd >= 0)
            return KvmFd.Adopt((int)fd, closes: true);
        errno = Marshal.GetLastPInvokeError();
        return null;
    }
}
