using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device;

/// <summary>The names of Linux error numbers, as <c>&lt;asm-generic/errno.h&gt;</c> gives them (x86-64, arm64, riscv64).</summary>
public static class Errno
{
    /// <summary>Operation not permitted.</summary>
    public const int EPERM = 1;

    /// <summary>No such file; for KVM_GET_ONE_REG also: no such register.</summary>
    public const int ENOENT = 2;

    /// <summary>No such thread.</summary>
    public const int ESRCH = 3;

    /// <summary>A signal came.</summary>
    public const int EINTR = 4;

    /// <summary>The fd belongs to a VM of another process, or the VM is dead.</summary>
    public const int EIO = 5;

    /// <summary>No such device or attribute.</summary>
    public const int ENXIO = 6;

    /// <summary>The list is longer than the room for it, or than the limit.</summary>
    public const int E2BIG = 7;

    /// <summary>Not ready to run: an arm64 vCPU before KVM_ARM_VCPU_INIT.</summary>
    public const int ENOEXEC = 8;

    /// <summary>Not an open file.</summary>
    public const int EBADF = 9;

    /// <summary>Not now.</summary>
    public const int EAGAIN = 11;

    /// <summary>Out of memory.</summary>
    public const int ENOMEM = 12;

    /// <summary>No permission.</summary>
    public const int EACCES = 13;

    /// <summary>An address without memory behind it.</summary>
    public const int EFAULT = 14;

    /// <summary>In use, or too late to change.</summary>
    public const int EBUSY = 16;

    /// <summary>It is there already.</summary>
    public const int EEXIST = 17;

    /// <summary>No such device.</summary>
    public const int ENODEV = 19;

    /// <summary>A value that the kernel refuses.</summary>
    public const int EINVAL = 22;

    /// <summary>The fd does not know the request.</summary>
    public const int ENOTTY = 25;

    /// <summary>No space left.</summary>
    public const int ENOSPC = 28;

    /// <summary>No such system call.</summary>
    public const int ENOSYS = 38;

    /// <summary>Not supported.</summary>
    public const int EOPNOTSUPP = 95;

    /// <summary>The name of an error number.</summary>
    /// <param name="errno">The number, positive.</param>
    /// <returns>Such as <c>EINVAL</c>; <c>errno 600</c> for a number without a name.</returns>
    public static string NameOf(int errno) => ErrorNumbers.NameOf(errno);
}
