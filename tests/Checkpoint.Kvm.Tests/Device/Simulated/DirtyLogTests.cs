using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

public sealed class DirtyLogTests
{
    [Fact]
    public void The_log_has_the_pages_that_the_guest_has_written_and_no_others()
    {
        using var kvm = new SimulatedKvm();
        // mov [rdi], rbx; out dx, eax; jmp back
        using var guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0x48, 0x89, 0x1f, 0xef, 0xeb, 0xfa);
        var vm = (SimulatedVm)guest.Vm;
        var bitmap = new ulong[8];
        Assert.Equal(Errno.ENOENT, Refused.ErrnoOf(() => vm.GetDirtyLog(0, bitmap)));
        vm.SetDirtyLogging(0, on: true);
        // As on KVM, what the host writes is its own affair.
        guest.Memory.Write(0x1_f000, [1]);
        guest[UserModeGuest.Rdi] = 0x4_1000;
        guest.Vcpu.Run();
        guest[UserModeGuest.Rdi] = 0x4_2ffc;
        guest.Vcpu.Run();
        vm.GetDirtyLog(0, bitmap);
        Assert.Equal([0ul, 0b1110, 0, 0, 0, 0, 0, 0], bitmap);
        vm.GetDirtyLog(0, bitmap);
        Assert.All(bitmap, word => Assert.Equal(0ul, word));
    }

    [Fact]
    public void A_slot_that_is_read_only_is_a_device_to_those_who_write()
    {
        using var kvm = new SimulatedKvm();
        using var guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0x48, 0x89, 0x1f, 0x48, 0x8b, 0x1f, 0xef);
        using var rom = guest.Vm.CreateMemory([new MemoryRegion(1, 2, UserModeGuest.WithoutSlot, 0x1000)]);
        rom.Write(UserModeGuest.WithoutSlot, [7]);
        guest[UserModeGuest.Rdi] = UserModeGuest.WithoutSlot;
        Assert.Equal(VcpuExitReason.Mmio, guest.Vcpu.Run().Reason);
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
        Assert.Equal(7ul, guest[UserModeGuest.Rbx]);
    }
}
