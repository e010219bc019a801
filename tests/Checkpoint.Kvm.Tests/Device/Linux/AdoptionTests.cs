using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Interop;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class AdoptionTests
{
    [KvmFact]
    public void An_adopted_machine_runs_logs_its_writes_and_stays_its_owners()
    {
        using var system = Libc.open(SystemHandle.DefaultPath, Libc.O_RDWR | Libc.O_CLOEXEC);
        using var vmFd = Ioctl.Create(system, KvmRequests.CreateVm, 0);
        using var pages = Mapping.OfZeros(0x10000, 0);
        using var vm = VmHandle.Adopt(vmFd.Number, ownsHandle: false);
        var region = new MemoryRegion(4, 0, 0, 0x10000);
        var memory = vm.AdoptMemory([new AdoptedRegion(region, pages.DangerousGetHandle())]);
        vm.SetDirtyLogging(4, on: true);
        using var vcpuFd = Ioctl.Create(vmFd, KvmRequests.CreateVcpu, 0);

        using (var vcpu = vm.AdoptVcpu(vcpuFd.Number, 0, 0, ownsHandle: false))
        {
            // mov byte [0x3000], 0x11; hlt
            memory.Write(0, [0xc6, 0x06, 0x00, 0x30, 0x11, 0xf4]);
            StartAtZero(vcpu);
            Assert.Equal(VcpuExitReason.Halt, vcpu.Run().Reason);
        }

        var written = new byte[1];
        memory.Read(0x3000, written);
        Assert.Equal(0x11, written[0]);
        var bitmap = new ulong[1];
        vm.GetDirtyLog(4, bitmap);
        Assert.NotEqual(0ul, bitmap[0] & (1 << 3));

        memory.Dispose();
        vm.Dispose();
        Assert.True(LinuxGuestMemoryTests.IsMapped((ulong)pages.DangerousGetHandle()));
        Assert.Equal(1, Ioctl.Value(vmFd, KvmRequests.CheckExtension, KvmCapability.UserMemory));
        var state = new byte[144];
        using var again = new VcpuHandle(vcpuFd, vmFd, Mapping.OfVcpu(vcpuFd, 4096, 0), new VmFailure(), 4096, 0, 0, VcpuHandle.DefaultKickSignal);
        again.Get(KvmRequests.GetRegs, state);
    }

    [Fact]
    public void An_owned_fd_is_closed_and_another_is_not()
    {
        using var opened = Libc.open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC);
        var fd = opened.Number;
        VmHandle.Adopt(fd, ownsHandle: false, vcpuMmapSizeBytes: 4096).Dispose();
        Assert.True(File.Exists($"/proc/self/fd/{fd}"));
        Assert.Throws<ArgumentOutOfRangeException>(() => VmHandle.Adopt(-1, ownsHandle: false, vcpuMmapSizeBytes: 4096));
    }

    private static void StartAtZero(VcpuHandle vcpu)
    {
        var sregs = new byte[KvmRequests.GetSregs.ArgumentSize];
        vcpu.Get(KvmRequests.GetSregs, sregs);
        sregs.AsSpan(0, 8).Clear();
        sregs.AsSpan(12, 2).Clear();
        vcpu.Set(KvmRequests.SetSregs, sregs);
        var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
        regs[136] = 2;
        vcpu.Set(KvmRequests.SetRegs, regs);
    }
}
