using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Device.Simulated.X64;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

/// <summary>What a simulated x86 kernel is like when it is told to be otherwise.</summary>
public sealed class X64KernelTests
{
    [Fact]
    public void A_kernel_without_a_capability_refuses_its_calls()
    {
        using var one = new OneVcpu(new() { Sregs2 = false, Xsave2Bytes = 0, OneReg = false, SplitIrqchip = false });
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vcpu.Get(KvmRequests.GetSregs2, new byte[320])));
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vcpu.Get(KvmRequests.GetXsave2, new byte[4096])));
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vcpu.GetOneReg(StateIds.X64Msr(0x174), new byte[8])));
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vm.EnableCapability(new EnabledCapability(KvmCapability.SplitIrqchip, 0, [24, 0, 0, 0]))));
        one.Vcpu.Get(KvmRequests.GetXsave, new byte[4096]);
    }

    [Fact]
    public void A_larger_xsave_area_keeps_what_nobody_here_touches()
    {
        var cpuid = X64CpuidTable.Default.ToArray();
        cpuid[(4 * 40) + 12] = 0xe7;
        using var one = new OneVcpu(new() { Xsave2Bytes = 8192, Cpuid = cpuid });
        var area = new byte[8192];
        (area[512], area[5000]) = (0xe7, 0x5a);
        one.Vcpu.Set(KvmRequests.SetXsave, area);
        var read = new byte[8192];
        one.Vcpu.Get(KvmRequests.GetXsave2, read);
        Assert.Equal((0xe7, 0x5a), (read[512], read[5000]));
        Assert.Throws<ArgumentException>(() => one.Vcpu.Get(KvmRequests.GetXsave2, new byte[4096]));
    }

    [Fact]
    public void Without_tsc_control_a_slower_tsc_is_refused()
    {
        using var one = new OneVcpu(new() { TscControl = false, TscKhz = 2_000_000 });
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vcpu.Call(KvmRequests.SetTscKhz, 1_000_000)));
        Assert.Equal(0, Refused.ErrnoOf(() => one.Vcpu.Call(KvmRequests.SetTscKhz, 3_000_000)));
    }

    [Fact]
    public void A_vm_has_no_more_vcpus_than_the_kernel_allows()
    {
        using var one = new OneVcpu(new() { MaxVcpus = 1 });
        Assert.Equal(Errno.EINVAL, Refused.ErrnoOf(() => one.Vm.CreateVcpu(1, 1)));
    }

    [Fact]
    public void An_instruction_that_nobody_knows_is_an_internal_error()
    {
        using var kvm = new SimulatedKvm();
        // cpuid, which the guests do not use
        using var guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0x0f, 0xa2);
        var exit = guest.Vcpu.Run();
        Assert.Equal((VcpuExitReason.InternalError, 1ul), (exit.Reason, exit.Detail));
        Assert.Equal(UserModeGuest.CodeAddress, guest[UserModeGuest.Rip]);
    }

    [Fact]
    public void A_port_that_the_task_state_forbids_is_a_fault()
    {
        using var kvm = new SimulatedKvm();
        using var guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0xef);
        guest.Memory.Write(0x68 + (0xc30 / 8), [1]);
        Assert.Equal(VcpuExitReason.Shutdown, guest.Vcpu.Run().Reason);
    }

    [Fact]
    public void A_counter_without_avx_carries_n_in_sse_registers()
    {
        using var kvm = new SimulatedKvm(new() { Cpuid = X64CpuidTable.WithoutAvx });
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, ExitEverySteps = 64 });
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(1000);
        Assert.Empty(guest.Verify().Failures);
    }

    [Fact]
    public void Time_is_made_of_instructions()
    {
        using var kvm = new SimulatedKvm(new() { TscKhz = 3_000_000 });
        // nop; out dx, eax
        using var guest = new UserModeGuest(kvm, InterruptChip.None, 1, 0x90, 0xef);
        var tsc = Msrs.Of(0x10);
        guest.Vcpu.GetMsrs(tsc);
        var before = Msrs.ValueAt(tsc, 0);
        guest.Vcpu.Run();
        guest.Vcpu.GetMsrs(tsc);
        Assert.Equal(3ul, Msrs.ValueAt(tsc, 0) - before);
    }
}
