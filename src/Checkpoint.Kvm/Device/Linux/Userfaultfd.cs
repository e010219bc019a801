using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// A userfaultfd for missing pages of anonymous memory, as <c>userfaultfd(2)</c> describes it. It must report the faults that the
/// kernel has as well as the process's own, as KVM touches guest memory: that takes CAP_SYS_PTRACE or access to /dev/userfaultfd.
/// </summary>
internal sealed unsafe class Userfaultfd : IDisposable
{
    private const ulong FeatureMove = 1UL << 16;
    private const ulong RegisterMissing = 1;

    private readonly KvmFd _fd;

    private Userfaultfd(KvmFd fd, bool canMove)
    {
        _fd = fd;
        CanMove = canMove;
    }

    /// <summary>Whether pages can be moved into place (Linux 6.8); otherwise they are copied.</summary>
    internal bool CanMove { get; }

    /// <summary>What poll(2) waits on.</summary>
    internal KvmFd Fd => _fd;

    /// <summary>Opens one.</summary>
    /// <param name="opened">The userfaultfd.</param>
    /// <param name="obstacle">Why there is none for this process.</param>
    internal static bool TryOpen([NotNullWhen(true)] out Userfaultfd? opened, [NotNullWhen(false)] out string? obstacle)
    {
        opened = TryOpen(FeatureMove, out obstacle) ?? TryOpen(0, out obstacle);
        return opened is not null;
    }

    /// <summary>From here on who touches a missing page of the range waits for it.</summary>
    internal void Register(ulong address, ulong length)
    {
        var argument = new uffdio_register { range = new() { start = address, len = length }, mode = RegisterMissing };
        Ioctl.Struct(_fd, UserfaultfdRequests.Register, ref argument);
    }

    /// <summary>Nobody waits for pages of the range any more.</summary>
    internal void Unregister(ulong address, ulong length) => UserfaultfdOpening.Unregister(_fd, address, length);

    /// <summary>Ends the waiting of those who touched the range; they touch it again.</summary>
    internal void Wake(ulong address, ulong length)
    {
        var argument = new uffdio_range { start = address, len = length };
        Ioctl.Struct(_fd, UserfaultfdRequests.Wake, ref argument);
    }

    /// <summary>Takes the pages away from one place and puts them to another, and wakes those who wait for them.</summary>
    /// <returns>False where the pages are of a kind that can't be moved; none was, then.</returns>
    internal bool TryMove(ulong to, ulong from, ulong length)
    {
        for (var done = 0UL; done < length;)
        {
            var argument = new uffdio_move { dst = to + done, src = from + done, len = length - done };
            var result = Ioctl.TryPointer(_fd, UserfaultfdRequests.Move, &argument);
            done += argument.move > 0 ? (ulong)argument.move : 0;
            if (result == -Errno.EBUSY && done == 0)
                return false;
            if (result < 0 && result != -Errno.EAGAIN)
                KvmError.Throw(UserfaultfdRequests.Move.Name, -result);
        }

        return true;
    }

    /// <summary>Copies pages into place, and wakes those who wait for them.</summary>
    internal void Copy(ulong to, ulong from, ulong length)
    {
        for (var done = 0UL; done < length;)
        {
            var argument = new uffdio_copy { dst = to + done, src = from + done, len = length - done };
            var result = Ioctl.TryPointer(_fd, UserfaultfdRequests.Copy, &argument);
            done += argument.copy > 0 ? (ulong)argument.copy : 0;
            if (result < 0 && result != -Errno.EAGAIN)
                KvmError.Throw(UserfaultfdRequests.Copy.Name, -result);
        }
    }

    /// <summary>Puts a page of zeros where there is no page, and wakes those who wait there.</summary>
    internal void ZeroPage(ulong address, ulong length)
    {
        var argument = new uffdio_zeropage { range = new() { start = address, len = length } };
        if (Ioctl.TryPointer(_fd, UserfaultfdRequests.ZeroPage, &argument) < 0)
            Wake(address, length);
    }

    /// <summary>Takes the faults that have been reported, without waiting.</summary>
    /// <returns>How many there were.</returns>
    internal int Read(Span<uffd_msg> messages) => UserfaultfdOpening.Read(_fd, messages);

    public void Dispose() => _fd.Dispose();

    private static Userfaultfd? TryOpen(ulong features, out string? obstacle)
    {
        var fd = UserfaultfdOpening.TryOpen(features, out var errno, out obstacle);
        if (fd is not null)
            return new Userfaultfd(fd, (features & FeatureMove) != 0);
        obstacle ??= $"the kernel's userfaultfd is of another kind (UFFDIO_API: {Errno.NameOf(errno)})";
        return null;
    }
}
