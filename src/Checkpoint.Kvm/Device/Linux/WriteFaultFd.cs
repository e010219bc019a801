using System.Diagnostics.CodeAnalysis;
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
    private const ulong FeatureWriteProtect = 1;
    private const ulong RegisterWriteProtect = 2;
    private const ulong Protected = 1;

    private readonly KvmFd _fd;

    private WriteFaultFd(KvmFd fd) => _fd = fd;

    /// <summary>What poll(2) waits on.</summary>
    internal KvmFd Fd => _fd;

    /// <summary>Opens one.</summary>
    /// <param name="opened">The userfaultfd.</param>
    /// <param name="obstacle">Why there is none for this process.</param>
    internal static bool TryOpen([NotNullWhen(true)] out WriteFaultFd? opened, [NotNullWhen(false)] out string? obstacle)
    {
        var fd = UserfaultfdOpening.TryOpen(FeatureWriteProtect, out var errno, out obstacle);
        opened = fd is null ? null : new WriteFaultFd(fd);
        if (opened is not null)
            return true;
        obstacle ??= $"the kernel's userfaultfd cannot protect pages against writes (UFFDIO_API: {Errno.NameOf(errno)})";
        return false;
    }

    /// <summary>Makes it possible to protect the range.</summary>
    /// <returns>0, or the error number: EBUSY where another userfaultfd has it.</returns>
    internal int TryRegister(ulong address, ulong length)
    {
        var argument = new uffdio_register { range = new() { start = address, len = length }, mode = RegisterWriteProtect };
        return Math.Min(0, Ioctl.TryPointer(_fd, UserfaultfdRequests.Register, &argument)) * -1;
    }

    /// <summary>The range is as any other again, and nobody waits in it.</summary>
    internal void Unregister(ulong address, ulong length) => UserfaultfdOpening.Unregister(_fd, address, length);

    /// <summary>From here on who writes to the range waits.</summary>
    internal void Protect(ulong address, ulong length) => Set(address, length, Protected);

    /// <summary>Lets writes through, and wakes those who wait.</summary>
    internal void Unprotect(ulong address, ulong length) => Set(address, length, 0);

    /// <summary>Takes the faults that have been reported, without waiting.</summary>
    /// <returns>How many there were.</returns>
    internal int Read(Span<uffd_msg> messages) => UserfaultfdOpening.Read(_fd, messages);

    public void Dispose() => _fd.Dispose();

    private void Set(ulong address, ulong length, ulong mode)
    {
        // EAGAIN: the mappings of the process were changing; nothing is half done that doing it again would not do.
        while (true)
        {
            var argument = new uffdio_writeprotect { range = new() { start = address, len = length }, mode = mode };
            var result = Ioctl.TryPointer(_fd, UserfaultfdRequests.WriteProtect, &argument);
            if (result >= 0)
                return;
            if (result != -Errno.EAGAIN)
                KvmError.Throw(UserfaultfdRequests.WriteProtect.Name, -result);
        }
    }
}
