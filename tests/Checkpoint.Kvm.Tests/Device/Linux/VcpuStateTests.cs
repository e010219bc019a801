using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class VcpuStateTests
{
    // IA32_SYSENTER_CS and IA32_SYSENTER_ESP: every processor has them, and nothing depends on them here.
    private const uint SysenterCs = 0x174;
    private const uint SysenterEsp = 0x175;
    private const uint Bogus = 0x4b564d99;

    [KvmFact]
    public void The_cpuid_that_was_set_is_the_one_that_is_read()
    {
        using var guest = new RealModeGuest(0xf4);
        var supported = guest.System.GetSupportedCpuid();
        Assert.NotEqual(0, supported.Length);
        Assert.Equal(0, supported.Length % 40);
        guest.Vcpu.SetCpuid(supported.Span);
        var first = guest.Vcpu.GetCpuid();
        Assert.Equal(supported.Length, first.Length);
        guest.Vcpu.SetCpuid(first.Span);
        Assert.Equal(first.ToArray(), guest.Vcpu.GetCpuid().ToArray());
    }

    [KvmFact]
    public void Msrs_that_were_set_are_read_back()
    {
        using var guest = new RealModeGuest(0xf4);
        var msrs = MsrBytes.Of(SysenterCs, SysenterEsp);
        MsrBytes.SetValueAt(msrs, 0, 0x10);
        MsrBytes.SetValueAt(msrs, 1, 0x1234);
        Assert.Equal(2, guest.Vcpu.SetMsrs(msrs));
        var read = MsrBytes.Of(SysenterCs, SysenterEsp);
        Assert.Equal(2, guest.Vcpu.GetMsrs(read));
        Assert.Equal(0x10ul, MsrBytes.ValueAt(read, 0));
        Assert.Equal(0x1234ul, MsrBytes.ValueAt(read, 1));
    }

    [KvmFact]
    public void A_batch_of_msrs_stops_at_the_refused_one()
    {
        using var guest = new RealModeGuest(0xf4);
        var msrs = MsrBytes.Of(SysenterCs, Bogus, SysenterEsp);
        Assert.Equal(1, guest.Vcpu.GetMsrs(msrs));
        Assert.Equal(1, guest.Vcpu.SetMsrs(msrs));
    }

    [KvmFact]
    public void The_kernel_takes_fewer_than_256_msrs_a_call()
    {
        using var guest = new RealModeGuest(0xf4);
        Assert.Equal(255, guest.Vcpu.GetMsrs(MsrBytes.Of([.. Enumerable.Repeat(SysenterCs, 255)])));
        var refused = Assert.Throws<KvmException>(
            () => { guest.Vcpu.GetMsrs(MsrBytes.Of([.. Enumerable.Repeat(SysenterCs, 256)])); });
        Assert.Equal(Errno.E2BIG, refused.Errno);
    }

    [KvmFact]
    public void A_count_beyond_the_buffer_is_refused_before_the_kernel_sees_it()
    {
        using var guest = new RealModeGuest(0xf4);
        var msrs = MsrBytes.Of(SysenterCs);
        BinaryPrimitives.WriteUInt32LittleEndian(msrs, 2);
        Assert.Throws<ArgumentException>(() => { guest.Vcpu.GetMsrs(msrs); });
        Assert.Throws<ArgumentException>(() => { guest.Vcpu.SetMsrs([1, 2, 3]); });
        Assert.Throws<ArgumentException>(() => guest.Vcpu.SetCpuid(new byte[41]));
    }

    [KvmFact]
    public void A_struct_that_is_too_short_is_refused_before_the_kernel_sees_it()
    {
        using var guest = new RealModeGuest(0xf4);
        var xsaveBytes = Math.Max(4096, guest.Vm.CheckExtension(KvmCapability.Xsave2));
        Assert.Throws<ArgumentException>(() => guest.Vcpu.Get(KvmRequests.GetRegs, new byte[143]));
        Assert.Throws<ArgumentException>(() => guest.Vcpu.Set(KvmRequests.SetXsave, new byte[xsaveBytes - 1]));
        var xsave = new byte[xsaveBytes];
        guest.Vcpu.Get(KvmRequests.GetXsave2, xsave);
        guest.Vcpu.Set(KvmRequests.SetXsave, xsave);
    }

    [KvmFact]
    public void Requests_with_a_pointer_or_a_count_have_calls_of_their_own()
    {
        using var guest = new RealModeGuest(0xf4);
        Assert.Throws<ArgumentException>(() => guest.Vcpu.Get(KvmRequests.GetOneReg, new byte[16]));
        Assert.Throws<ArgumentException>(() => guest.Vcpu.Set(KvmRequests.SetCpuid2, new byte[8]));
        Assert.Throws<ArgumentException>(() => guest.Vcpu.Get(KvmRequests.GetTscKhz, new byte[8]));
        Assert.Throws<ArgumentException>(() => { guest.Vcpu.Call(KvmRequests.GetRegs, 0); });
        Assert.Throws<ArgumentException>(() => { guest.Vcpu.Call(KvmRequests.Run, 0); });
        Assert.Throws<ArgumentException>(() => guest.Vm.Get(KvmRequests.GetDirtyLog, new byte[16]));
        Assert.Throws<ArgumentException>(() => guest.Vm.Get(KvmRequests.GetClock, new byte[49]));
    }

    [KvmFact]
    public void Every_struct_of_a_vcpu_can_be_read_and_written_back()
    {
        using var guest = new RealModeGuest(0xf4);
        (KvmRequest Get, KvmRequest Set)[] pairs =
        [
            (KvmRequests.GetMpState, KvmRequests.SetMpState), (KvmRequests.GetRegs, KvmRequests.SetRegs),
            (KvmRequests.GetSregs2, KvmRequests.SetSregs2), (KvmRequests.GetXcrs, KvmRequests.SetXcrs),
            (KvmRequests.GetDebugregs, KvmRequests.SetDebugregs), (KvmRequests.GetVcpuEvents, KvmRequests.SetVcpuEvents),
            (KvmRequests.GetFpu, KvmRequests.SetFpu),
        ];
        foreach (var (get, set) in pairs)
        {
            var first = guest.Get(get);
            guest.Vcpu.Set(set, first);
            Assert.Equal(first, guest.Get(get));
        }

        Assert.True(guest.Vcpu.Call(KvmRequests.GetTscKhz, 0) > 0);
    }

    [KvmFact]
    public void A_register_of_the_wrong_size_is_refused_and_one_the_kernel_refuses_is_named()
    {
        using var guest = new RealModeGuest(0xf4);
        const ulong id = 0x2030_0002_0000_0000 | Bogus;
        Assert.Throws<ArgumentException>(() => guest.Vcpu.GetOneReg(id, new byte[4]));
        var refused = Assert.Throws<KvmException>(() => guest.Vcpu.GetOneReg(id, new byte[8]));
        Assert.Equal("KVM_GET_ONE_REG", refused.Request);
        Assert.Equal("MSR 0x4b564d99 (0x203000024b564d99)", refused.Register);
        Assert.Equal(0, refused.Vcpu);
    }

    [KvmFact]
    public void Registers_in_one_call_work_or_leave_an_error_number()
    {
        using var guest = new RealModeGuest(0xf4);
        var batch = new RegisterBatch([0x2030_0002_0000_0000 | SysenterCs]);
        Assert.Contains(guest.Vcpu.GetManyRegs(batch), (int[])[0, Errno.EINVAL, Errno.ENOTTY]);
        Assert.Contains(guest.Vcpu.SetManyRegs(batch), (int[])[0, Errno.EINVAL, Errno.ENOTTY]);
    }
}
