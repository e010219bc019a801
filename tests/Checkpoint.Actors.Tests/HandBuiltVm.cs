using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests;

/// <summary>A VM as an embedder has one: fds and mapped memory of its own, made without this project's classes.</summary>
internal sealed class HandBuiltVm : IDisposable
{
    private const ulong CreateVm = 0xae01;
    private const ulong CreateVcpu = 0xae41;
    private const ulong CreateIrqchip = 0xae60;
    private const ulong SetUserMemoryRegion = 0x4020_ae46;
    private const int ReadWrite = 2;
    private const int CloseOnExec = 0x80000;
    private const int ReadAndWrite = 3;
    private const int PrivateAnonymous = 0x22;

    private readonly int _kvm;
    private readonly ulong _memoryBytes;

    public HandBuiltVm(int vcpus, ulong memoryBytes)
    {
        _memoryBytes = memoryBytes;
        _kvm = Check(open("/dev/kvm", ReadWrite | CloseOnExec));
        Fd = Check(ioctl(_kvm, CreateVm, 0));
        HostAddress = mmap(0, (nuint)memoryBytes, ReadAndWrite, PrivateAnonymous, -1, 0);
        Assert.NotEqual(-1, HostAddress);
        var region = new UserMemoryRegion { Slot = 3, GuestAddress = 0, Size = memoryBytes, HostAddress = (ulong)HostAddress };
        Check(ioctl(Fd, SetUserMemoryRegion, ref region));
        Check(ioctl(Fd, CreateIrqchip, 0));
        VcpuFds = [.. Enumerable.Range(0, vcpus).Select(id => Check(ioctl(Fd, CreateVcpu, id)))];
    }

    public int Fd { get; }

    public int[] VcpuFds { get; }

    public nint HostAddress { get; }

    public AdoptedRegion Region => new(new MemoryRegion(3, 0, 0, _memoryBytes), HostAddress);

    public void Dispose()
    {
        foreach (var fd in VcpuFds)
            Check(close(fd));
        Check(close(Fd));
        Check(close(_kvm));
        Check(munmap(HostAddress, (nuint)_memoryBytes));
    }

    private static int Check(int result)
    {
        Assert.True(result >= 0, $"a system call failed with error {Marshal.GetLastPInvokeError()}");
        return result;
    }

    [DllImport("libc", SetLastError = true, CharSet = CharSet.Ansi, BestFitMapping = false, ThrowOnUnmappableChar = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int open(string path, int flags);

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int ioctl(int fd, ulong request, nint argument);

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int ioctl(int fd, ulong request, ref UserMemoryRegion argument);

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern nint mmap(nint address, nuint length, int protection, int flags, int fd, nint offset);

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int munmap(nint address, nuint length);

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int close(int fd);

    // struct kvm_userspace_memory_region.
    [StructLayout(LayoutKind.Sequential)]
    private struct UserMemoryRegion
    {
        public uint Slot;
        public uint Flags;
        public ulong GuestAddress;
        public ulong Size;
        public ulong HostAddress;
    }
}
