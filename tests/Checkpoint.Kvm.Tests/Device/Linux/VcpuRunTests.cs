using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class VcpuRunTests
{
    [KvmFact]
    public void An_out_instruction_leaves_its_port_and_data()
    {
        // mov al, 0x5a; out 0x42, al
        using var guest = new RealModeGuest(0xb0, 0x5a, 0xe6, 0x42);
        var exit = guest.Vcpu.Run();
        Assert.Equal(VcpuExitReason.Io, exit.Reason);
        Assert.True(exit.IsWrite);
        Assert.Equal(0x42, exit.Port);
        Assert.Equal(1, exit.AccessSize);
        Assert.Equal([0x5a], exit.Data.ToArray());
    }

    [KvmFact]
    public void What_the_handler_writes_is_what_an_in_instruction_reads()
    {
        // in ax, 0x42; out 0x43, ax
        using var guest = new RealModeGuest(0xe5, 0x42, 0xe7, 0x43);
        var read = guest.Vcpu.Run();
        Assert.Equal(VcpuExitReason.Io, read.Reason);
        Assert.False(read.IsWrite);
        Assert.Equal(2, read.AccessSize);
        read.Data[0] = 0x34;
        read.Data[1] = 0x12;
        Assert.Equal([0x34, 0x12], guest.Vcpu.Run().Data.ToArray());
    }

    [KvmFact]
    public void A_store_without_a_slot_leaves_its_address_and_data()
    {
        // mov ax, 0x2000; mov ds, ax; mov byte [0x10], 0x77
        using var guest = new RealModeGuest(0xb8, 0x00, 0x20, 0x8e, 0xd8, 0xc6, 0x06, 0x10, 0x00, 0x77);
        var exit = guest.Vcpu.Run();
        Assert.Equal(VcpuExitReason.Mmio, exit.Reason);
        Assert.True(exit.IsWrite);
        Assert.Equal(0x20010ul, exit.GuestAddress);
        Assert.Equal([0x77], exit.Data.ToArray());
    }

    [KvmFact]
    public void A_halt_without_an_interrupt_controller_is_an_exit()
    {
        using var guest = new RealModeGuest(0xf4);
        Assert.Equal(VcpuExitReason.Halt, guest.Vcpu.Run().Reason);
    }

    [KvmFact]
    public void Immediate_exit_finishes_a_pending_read_without_running_further()
    {
        // in al, 0x42; out 0x43, al
        using var guest = new RealModeGuest(0xe4, 0x42, 0xe6, 0x43);
        guest.Vcpu.Run().Data[0] = 0x99;
        guest.Vcpu.ImmediateExit = true;
        Assert.True(guest.Vcpu.ImmediateExit);
        Assert.Equal(VcpuExitReason.Interrupted, guest.Vcpu.Run().Reason);
        Assert.Equal(0x99ul, guest.Rax & 0xff);
        guest.Vcpu.ImmediateExit = false;
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
    }

    [KvmFact]
    public void The_calls_of_a_pause_do_not_allocate()
    {
        // out 0x42, al; jmp back
        using var guest = new RealModeGuest(0xe6, 0x42, 0xeb, 0xfc);
        var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
        var msrs = MsrBytes.Of(0x10);
        guest.Vcpu.BindToCurrentThread();
        long before = 0;
        var (sawIo, sawKick) = (false, false);
        for (var round = 0; round < 3; round++)
        {
            // The first rounds load code.
            before = GC.GetAllocatedBytesForCurrentThread();
            sawIo = guest.Vcpu.Run().Reason == VcpuExitReason.Io;
            guest.Vcpu.Kick();
            sawKick = guest.Vcpu.Run().Reason == VcpuExitReason.Interrupted;
            guest.Vcpu.Get(KvmRequests.GetRegs, regs);
            guest.Vcpu.Set(KvmRequests.SetRegs, regs);
            _ = guest.Vcpu.GetMsrs(msrs);
            before = GC.GetAllocatedBytesForCurrentThread() - before;
        }

        guest.Vcpu.Unbind();
        Assert.True(sawIo && sawKick);
        Assert.Equal(0, before);
    }

    [KvmFact]
    public void A_disposed_vcpu_refuses_to_run()
    {
        using var guest = new RealModeGuest(0xf4);
        guest.Vcpu.Dispose();
        Assert.Throws<ObjectDisposedException>(() => { guest.Vcpu.Run(); });
        Assert.Throws<ObjectDisposedException>(() => guest.Vcpu.ImmediateExit);
        guest.Vcpu.Kick();
    }
}
