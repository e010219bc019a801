using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>/dev/kvm of this host.</summary>
public sealed class SystemHandle : IKvm
{
    /// <summary>Where the kernel's KVM is found.</summary>
    public const string DefaultPath = "/dev/kvm";

    private const int StableApiVersion = 12;

    // KVM_MAX_CPUID_ENTRIES of current kernels; older ones have fewer.
    private const int MaxCpuidEntries = 256;

    private readonly KvmFd _fd;

    internal SystemHandle(KvmFd fd) => _fd = fd;

    /// <inheritdoc/>
    public int ApiVersion => Ioctl.Value(_fd, KvmRequests.GetApiVersion, 0);

    /// <inheritdoc/>
    public ulong CounterHz => CounterFrequency.Hz;

    /// <summary>KVM_GET_VCPU_MMAP_SIZE: the bytes that a vCPU shares with the kernel.</summary>
    public int VcpuMmapSizeBytes => Ioctl.Value(_fd, KvmRequests.GetVcpuMmapSize, 0);

    /// <summary>Opens KVM.</summary>
    /// <param name="path">The device file.</param>
    /// <exception cref="InvalidOperationException">KVM cannot be used; the message says why and what to do.</exception>
    public static SystemHandle Open(string path = DefaultPath) =>
        TryOpen(out var system, out var reason, path) ? system : throw new InvalidOperationException(reason);

    /// <summary>Opens KVM, or says in one line why it cannot be used and what to do.</summary>
    /// <param name="system">The open device.</param>
    /// <param name="reason">Why not.</param>
    /// <param name="path">The device file.</param>
    public static bool TryOpen(
        [NotNullWhen(true)] out SystemHandle? system,
        [NotNullWhen(false)] out string? reason,
        string path = DefaultPath)
    {
        system = null;
        var fd = OpenDevice(path, out var errno);
        if (fd.IsInvalid)
        {
            fd.Dispose();
            reason = ReasonOf(path, errno);
            return false;
        }

        var opened = new SystemHandle(fd);
        reason = ReasonAgainst(opened, path);
        if (reason is not null)
        {
            opened.Dispose();
            return false;
        }

        system = opened;
        return true;
    }

    /// <inheritdoc/>
    public int CheckExtension(uint capability) => Ioctl.Value(_fd, KvmRequests.CheckExtension, capability);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> GetSupportedCpuid() =>
        CpuidCall.Get(_fd, KvmRequests.GetSupportedCpuid, MaxCpuidEntries, vcpu: null);

    /// <inheritdoc/>
    public uint[] GetMsrIndexList() => GetIndexList(KvmRequests.GetMsrIndexList);

    /// <summary>KVM_GET_MSR_FEATURE_INDEX_LIST (x86): the MSRs that describe what this host can give to guests.</summary>
    public uint[] GetMsrFeatureIndexList() => GetIndexList(KvmRequests.GetMsrFeatureIndexList);

    /// <summary>KVM_GET_MSRS on the device itself (x86): the values of feature MSRs.</summary>
    /// <param name="msrs">struct kvm_msrs in the kernel's layout, its count and indices filled in.</param>
    /// <returns>How many were read: the call stops at the first that is refused.</returns>
    public int GetFeatureMsrs(Span<byte> msrs) => MsrCall.Make(_fd, KvmRequests.GetMsrs, msrs, vcpu: null);

    /// <inheritdoc cref="IKvm.CreateVm"/>
    public VmHandle CreateVm(ulong type = 0)
    {
        var vm = Ioctl.Create(_fd, KvmRequests.CreateVm, type);
        try
        {
            return new VmHandle(vm, VcpuMmapSizeBytes);
        }
        catch
        {
            vm.Dispose();
            throw;
        }
    }

    IVm IKvm.CreateVm(ulong type) => CreateVm(type);

    /// <inheritdoc/>
    public void Dispose() => _fd.Dispose();

    private static KvmFd OpenDevice(string path, out int errno)
    {
        while (true)
        {
            var fd = Libc.open(path, Libc.O_RDWR | Libc.O_CLOEXEC);
            errno = fd.IsInvalid ? Marshal.GetLastPInvokeError() : 0;
            if (errno != Errno.EINTR)
                return fd;
            fd.Dispose();
        }
    }

    private static string ReasonOf(string path, int errno) => errno switch
    {
        Errno.ENOENT =>
            $"{path} is missing: load the module kvm_intel or kvm_amd; inside a virtual machine, turn nested virtualization on in its host",
        Errno.EACCES or Errno.EPERM =>
            $"no permission to open {path}: add this user to the group that owns it, as a rule kvm, and log in again",
        Errno.ENODEV or Errno.ENXIO =>
            $"{path} has no driver behind it: turn virtualization on in the firmware and load the module kvm_intel or kvm_amd",
        Errno.EBUSY => $"{path} is busy: another hypervisor holds the processor's virtualization; stop it",
        _ => $"{path} cannot be opened: {Errno.NameOf(errno)}",
    };

    private static string? ReasonAgainst(SystemHandle system, string path)
    {
        try
        {
            var version = system.ApiVersion;
            return version == StableApiVersion
                ? null
                : $"{path} speaks KVM API version {version}, not {StableApiVersion}: run a kernel of 2.6.22 or later";
        }
        catch (KvmException exception)
        {
            return $"{path} is not KVM ({exception.Message}): give the path of the KVM device";
        }
    }

    private unsafe uint[] GetIndexList(in KvmRequest request)
    {
        // First with room for none: the kernel answers E2BIG and leaves the count.
        kvm_msr_list header = default;
        var result = Ioctl.TryPointer(_fd, request, &header);
        if (result < 0 && result != -Errno.E2BIG)
            KvmError.Throw(request.Name, -result);

        var list = new uint[1 + header.nmsrs];
        list[0] = header.nmsrs;
        // The array is pinned for the call; the kernel writes at most the count it finds in the first word, which is its length.
        fixed (uint* pointer = list)
            Ioctl.Pointer(_fd, request, pointer);
        return list[1..(int)(1 + list[0])];
    }
}
