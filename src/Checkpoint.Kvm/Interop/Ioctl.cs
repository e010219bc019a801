using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Interop;

/// <summary>
/// ioctl in its three shapes: by value, by pointer, and making an fd. A call that a signal interrupted is made again, except
/// KVM_RUN, whose EINTR is a result.
/// </summary>
internal static unsafe class Ioctl
{
    /// <summary>A call whose argument is a number.</summary>
    /// <returns>What the call returned, not negative.</returns>
    internal static int Value(KvmFd fd, in KvmRequest request, ulong argument, int? vcpu = null)
    {
        int result;
        do
        {
            result = Libc.ioctl(fd, request.Code, (nuint)argument);
        }
        while (result < 0 && Marshal.GetLastPInvokeError() == Errno.EINTR);
        if (result < 0)
            KvmError.ThrowLast(request.Name, vcpu);
        return result;
    }

    /// <summary>A call whose argument is a struct in memory that stays where it is until the call returns.</summary>
    /// <returns>What the call returned, not negative.</returns>
    internal static int Pointer(KvmFd fd, in KvmRequest request, void* argument, int? vcpu = null)
    {
        var result = TryPointer(fd, request, argument);
        if (result < 0)
            KvmError.Throw(request.Name, -result, vcpu);
        return result;
    }

    /// <summary>As <see cref="Pointer"/>, without the exception.</summary>
    /// <returns>What the call returned, or the error number, negative.</returns>
    internal static int TryPointer(KvmFd fd, in KvmRequest request, void* argument)
    {
        while (true)
        {
            var result = Libc.ioctl(fd, request.Code, argument);
            if (result >= 0)
                return result;
            var errno = Marshal.GetLastPInvokeError();
            if (errno != Errno.EINTR)
                return -errno;
        }
    }

    /// <summary>A call with a struct of fixed size on the caller's stack.</summary>
    internal static int Struct<T>(KvmFd fd, in KvmRequest request, ref T argument, int? vcpu = null)
        where T : unmanaged
    {
        // The struct belongs to the caller and is pinned for this call; the kernel touches sizeof(T) bytes, the size in the code.
        fixed (T* pointer = &argument)
            return Pointer(fd, request, pointer, vcpu);
    }

    /// <summary>A call that makes a new fd.</summary>
    internal static KvmFd Create(KvmFd fd, in KvmRequest request, ulong argument, int? vcpu = null)
    {
        while (true)
        {
            var created = Libc.ioctl_create(fd, request.Code, (nuint)argument);
            if (!created.IsInvalid)
                return created;
            var errno = Marshal.GetLastPInvokeError();
            created.Dispose();
            if (errno != Errno.EINTR)
                KvmError.Throw(request.Name, errno, vcpu);
        }
    }
}
