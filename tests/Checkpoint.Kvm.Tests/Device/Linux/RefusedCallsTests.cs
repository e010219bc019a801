using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Interop;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Linux;

/// <summary>Every call on a file that is not KVM's fails with ENOTTY and says which request that was.</summary>
public sealed class RefusedCallsTests : IDisposable
{
    private readonly SystemHandle _system = new(OpenNull());
    private readonly VmHandle _vm = new(OpenNull(), vcpuMmapSizeBytes: 4096);
    private readonly KvmFd _vmOfVcpu = OpenNull();
    private readonly VcpuHandle _vcpu;

    public RefusedCallsTests() =>
        _vcpu = new VcpuHandle(OpenNull(), _vmOfVcpu, Mapping.OfZeros(4096, 0), new VmFailure(), 4096, id: 3, index: 3, VcpuHandle.DefaultKickSignal);

    public void Dispose()
    {
        _vcpu.Dispose();
        _vmOfVcpu.Dispose();
        _vm.Dispose();
        _system.Dispose();
    }

    [Fact]
    public void Calls_on_the_system_name_their_request()
    {
        Refused("KVM_GET_API_VERSION", () => _ = _system.ApiVersion);
        Refused("KVM_GET_VCPU_MMAP_SIZE", () => _ = _system.VcpuMmapSizeBytes);
        Refused("KVM_CHECK_EXTENSION", () => _system.CheckExtension(1));
        Refused("KVM_GET_SUPPORTED_CPUID", () => _system.GetSupportedCpuid());
        Refused("KVM_GET_MSR_INDEX_LIST", () => _system.GetMsrIndexList());
        Refused("KVM_GET_MSR_FEATURE_INDEX_LIST", () => _system.GetMsrFeatureIndexList());
        Refused("KVM_GET_MSRS", () => _system.GetFeatureMsrs(MsrBytes.Of(0x10)));
        Refused("KVM_CREATE_VM", () => _system.CreateVm());
    }

    [Fact]
    public void Calls_on_a_vm_name_their_request()
    {
        Refused("KVM_CHECK_EXTENSION", () => _vm.CheckExtension(1));
        Refused("KVM_ENABLE_CAP", () => _vm.EnableCapability(new EnabledCapability(1, 0, [1, 2, 3, 4])));
        Refused("KVM_SET_USER_MEMORY_REGION", () => _vm.CreateMemory([new MemoryRegion(0, 0, 0, 4096)]));
        Refused("KVM_SET_TSS_ADDR", () => _vm.SetTssAddress(0));
        Refused("KVM_SET_IDENTITY_MAP_ADDR", () => _vm.SetIdentityMapAddress(0));
        Refused("KVM_CREATE_IRQCHIP", _vm.CreateIrqchip);
        Refused("KVM_CREATE_PIT2", _vm.CreatePit);
        Refused("KVM_SET_GSI_ROUTING", () => _vm.SetGsiRouting(new byte[96]));
        Refused("KVM_GET_CLOCK", () => _vm.Get(KvmRequests.GetClock, new byte[48]));
        Refused("KVM_SET_CLOCK", () => _vm.Set(KvmRequests.SetClock, new byte[48]));
        Refused("KVM_SET_BOOT_CPU_ID", () => _vm.Call(KvmRequests.SetBootCpuId, 0));
        Refused("KVM_CLEAR_DIRTY_LOG", () => _vm.ClearDirtyLog(0, 0, 64, new ulong[1]));
        Refused("KVM_CREATE_VCPU", () => _vm.CreateVcpu(2, 2), vcpu: 2);
        using var memory = Adopted(_vm);
        Refused("KVM_GET_DIRTY_LOG", () => _vm.GetDirtyLog(7, new ulong[1]));
        Refused("KVM_SET_USER_MEMORY_REGION", () => _vm.SetDirtyLogging(7, on: true));
    }

    [Fact]
    public void Calls_on_a_vcpu_name_their_request_and_their_vcpu()
    {
        Refused("KVM_CHECK_EXTENSION", () => _vcpu.CheckExtension(1));
        Refused("KVM_GET_REGS", () => _vcpu.Get(KvmRequests.GetRegs, new byte[144]), vcpu: 3);
        Refused("KVM_SET_REGS", () => _vcpu.Set(KvmRequests.SetRegs, new byte[144]), vcpu: 3);
        Refused("KVM_GET_TSC_KHZ", () => _vcpu.Call(KvmRequests.GetTscKhz, 0), vcpu: 3);
        Refused("KVM_GET_MSRS", () => _vcpu.GetMsrs(MsrBytes.Of(0x10)), vcpu: 3);
        Refused("KVM_SET_MSRS", () => _vcpu.SetMsrs(MsrBytes.Of(0x10)), vcpu: 3);
        Refused("KVM_GET_CPUID2", () => _vcpu.GetCpuid(), vcpu: 3);
        Refused("KVM_SET_CPUID2", () => _vcpu.SetCpuid(new byte[40]), vcpu: 3);
        Refused("KVM_GET_ONE_REG", () => _vcpu.GetOneReg(0, new byte[1]), vcpu: 3);
        Refused("KVM_SET_ONE_REG", () => _vcpu.SetOneReg(0, new byte[1]), vcpu: 3);
        Refused("KVM_GET_REG_LIST", () => _vcpu.GetRegList(), vcpu: 3);
        Refused("KVM_GET_DEVICE_ATTR", () => _vcpu.GetAttribute(0, 0), vcpu: 3);
        Refused("KVM_SET_DEVICE_ATTR", () => _vcpu.SetAttribute(0, 0, 1), vcpu: 3);
        Refused("KVM_RUN", () => _vcpu.Run(), vcpu: 3);
        Refused("KVM_SET_SIGNAL_MASK", _vcpu.BindToCurrentThread, vcpu: 3);
        var batch = new RegisterBatch([0]);
        Assert.Equal(Errno.ENOTTY, _vcpu.GetManyRegs(batch));
        Assert.Equal(Errno.ENOTTY, _vcpu.SetManyRegs(batch));
    }

    [Fact]
    public void A_vcpu_that_cannot_be_mapped_is_an_error_that_says_so()
    {
        using var opened = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC);
        var refused = Assert.Throws<KvmException>(() => _vm.AdoptVcpu(opened.Number, 0, 0, ownsHandle: false));
        Assert.Equal("mmap of struct kvm_run", refused.Request);
        Assert.Equal(Errno.ENODEV, refused.Errno);
    }

    [Fact]
    public void An_unknown_slot_and_a_short_bitmap_are_refused_before_the_kernel_sees_them()
    {
        using var memory = Adopted(_vm);
        Assert.Throws<ArgumentException>(() => _vm.GetDirtyLog(8, new ulong[1]));
        Assert.Throws<ArgumentException>(() => _vm.GetDirtyLog(7, []));
        Assert.Throws<ArgumentException>(() => _vm.ClearDirtyLog(7, 0, 65, new ulong[1]));
    }

    private static LinuxGuestMemory Adopted(VmHandle vm) =>
        vm.AdoptMemory([new AdoptedRegion(new MemoryRegion(7, 0, 0, 4096), 0x10000)]);

    private static KvmFd OpenNull() => Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC);

    private static void Refused(string request, Action call, int? vcpu = null)
    {
        var exception = Assert.Throws<KvmException>(call);
        Assert.Equal(request, exception.Request);
        Assert.Equal(Errno.ENOTTY, exception.Errno);
        Assert.Equal(vcpu, exception.Vcpu);
    }
}
