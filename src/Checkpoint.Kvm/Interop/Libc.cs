using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>
/// The C library's functions under their own names. Every one may block or be slow, so none skips the collector's
/// transition: a thread inside KVM_RUN must not hold up a collection.
/// </summary>
internal static unsafe partial class Libc
{
    internal const int O_RDWR = 2;
    internal const int O_CLOEXEC = 0x80000;

    internal const int PROT_NONE = 0;
    internal const int PROT_READ = 1;
    internal const int PROT_WRITE = 2;
    internal const int PROT_EXEC = 4;
    internal const int MAP_SHARED = 1;
    internal const int MAP_PRIVATE = 2;
    internal const int MAP_ANONYMOUS = 0x20;
    internal const int MAP_NORESERVE = 0x4000;

    internal const int MADV_DONTNEED = 4;
    internal const int MADV_DONTFORK = 10;
    internal const int MADV_HUGEPAGE = 14;
    internal const int MADV_DONTDUMP = 16;

    internal const int SIG_BLOCK = 0;
    internal const int SIG_SETMASK = 2;

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    internal static partial KvmFd open(string path, int flags);

    [LibraryImport("libc", EntryPoint = "close")]
    internal static partial int close(int fd);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int ioctl(KvmFd fd, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial int ioctl(KvmFd fd, nuint request, void* argument);

    // The calls that make a new file: the result is a handle before anything else can go wrong.
    [LibraryImport("libc", EntryPoint = "ioctl", SetLastError = true)]
    internal static partial KvmFd ioctl_create(KvmFd fd, nuint request, nuint argument);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint mmap(nint address, nuint length, int protection, int flags, KvmFd fd, nint offset);

    [LibraryImport("libc", EntryPoint = "mmap", SetLastError = true)]
    internal static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, nint offset);

    [LibraryImport("libc", EntryPoint = "munmap")]
    internal static partial int munmap(nint address, nuint length);

    [LibraryImport("libc", EntryPoint = "mprotect", SetLastError = true)]
    internal static partial int mprotect(nint address, nuint length, int protection);

    [LibraryImport("libc", EntryPoint = "madvise", SetLastError = true)]
    internal static partial int madvise(nint address, nuint length, int advice);

    [LibraryImport("libc", EntryPoint = "read", SetLastError = true)]
    internal static partial nint read(KvmFd fd, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "write", SetLastError = true)]
    internal static partial nint write(KvmFd fd, void* buffer, nuint count);

    [LibraryImport("libc", EntryPoint = "eventfd", SetLastError = true)]
    internal static partial int eventfd(uint initial, int flags);

    [LibraryImport("libc", EntryPoint = "poll", SetLastError = true)]
    internal static partial int poll(StopEvent.PollFd* fds, nuint count, int timeoutMs);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint syscall(nint number);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint syscall(nint number, nint first, nint second, nint third);

    [LibraryImport("libc", EntryPoint = "syscall", SetLastError = true)]
    internal static partial nint syscall(nint number, int* first, nint second, nint third, TimeSpec* fourth);

    [LibraryImport("libc", EntryPoint = "setpriority")]
    internal static partial int setpriority(int which, uint who, int priority);

    [LibraryImport("libc", EntryPoint = "getpriority")]
    internal static partial int getpriority(int which, uint who);

    // struct sched_param is one int.
    [LibraryImport("libc", EntryPoint = "sched_setscheduler")]
    internal static partial int sched_setscheduler(int pid, int policy, in int param);

    // Returns the error number itself; errno stays as it was.
    [LibraryImport("libc", EntryPoint = "pthread_sigmask")]
    internal static partial int pthread_sigmask(int how, SignalSet* set, SignalSet* old);

    [LibraryImport("libc", EntryPoint = "sigtimedwait", SetLastError = true)]
    internal static partial int sigtimedwait(SignalSet* set, void* info, TimeSpec* timeout);
}
