using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class SystemHandleTests
{
    [Fact]
    public void A_missing_device_is_explained_in_one_line_with_what_to_do()
    {
        Assert.False(SystemHandle.TryOpen(out _, out var reason, "/dev/no-such-kvm"));
        Assert.StartsWith("/dev/no-such-kvm is missing: load the module", reason, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', reason);
        var thrown = Assert.Throws<InvalidOperationException>(() => SystemHandle.Open("/dev/no-such-kvm"));
        Assert.Equal(reason, thrown.Message);
    }

    [Fact]
    public void A_file_that_is_not_KVM_is_explained()
    {
        Assert.False(SystemHandle.TryOpen(out _, out var reason, "/dev/null"));
        Assert.Equal("/dev/null is not KVM (KVM_GET_API_VERSION failed: ENOTTY): give the path of the KVM device", reason);
    }

    [KvmFact]
    public void KVM_says_what_it_can_do()
    {
        using var system = SystemHandle.Open();
        Assert.Equal(12, system.ApiVersion);
        Assert.NotEqual(0, system.CheckExtension(KvmCapability.UserMemory));
        Assert.Equal(0, system.CheckExtension(uint.MaxValue));
        Assert.True(system.VcpuMmapSizeBytes >= 4096);
        Assert.Contains(0x174u, system.GetMsrIndexList());
        var features = system.GetMsrFeatureIndexList();
        if (features.Length > 0)
            Assert.Equal(1, system.GetFeatureMsrs(MsrBytes.Of(features[0])));
    }

    [KvmFact]
    public void A_machine_gets_its_interrupt_chips_and_timer()
    {
        using var system = SystemHandle.Open();
        using var vm = system.CreateVm();
        vm.CreateIrqchip();
        vm.CreatePit();
        vm.Get(KvmRequests.GetPit2, new byte[KvmRequests.GetPit2.ArgumentSize]);
        var chip = new byte[KvmRequests.GetIrqchip.ArgumentSize];
        chip[0] = 2;
        vm.Get(KvmRequests.GetIrqchip, chip);
        vm.Set(KvmRequests.SetIrqchip, chip);
        // GSI 5 to pin 5 of the IOAPIC: type 1 (KVM_IRQ_ROUTING_IRQCHIP), chip 2.
        var route = new byte[48];
        (route[0], route[4], route[16], route[20]) = (5, 1, 2, 5);
        vm.SetGsiRouting(route);
        var refused = Assert.Throws<KvmException>(vm.CreateIrqchip);
        Assert.Equal("EEXIST", Errno.NameOf(refused.Errno));
    }

    [KvmFact]
    public void A_disposed_system_refuses_calls()
    {
        var system = SystemHandle.Open();
        system.Dispose();
        Assert.Throws<ObjectDisposedException>(() => system.CheckExtension(1));
    }
}
