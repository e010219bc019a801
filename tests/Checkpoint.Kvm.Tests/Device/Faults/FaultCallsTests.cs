using System.Reflection;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Tests.Device.Faults;

public sealed class FaultCallsTests
{
    [Fact]
    public void Every_request_of_the_table_can_go_wrong_by_the_kernels_name_and_no_other_name_is_the_kernels()
    {
        var requests = typeof(KvmRequests).GetFields(BindingFlags.Public | BindingFlags.Static).Select(field => ((KvmRequest)field.GetValue(null)!).Name);
        var names = FaultCalls.Names.Where(name => name.StartsWith("KVM_", StringComparison.Ordinal) && name != FaultCalls.SyncRegs);
        Assert.Equal(requests.Order(StringComparer.Ordinal), names);
    }

    [Theory]
    [InlineData(typeof(IKvm), typeof(FaultyKvm))]
    [InlineData(typeof(IVm), typeof(FaultyVm))]
    [InlineData(typeof(IVcpu), typeof(FaultyVcpu))]
    [InlineData(typeof(IKvmDevice), typeof(FaultyDevice))]
    [InlineData(typeof(IGuestMemory), typeof(FaultyMemory))]
    [InlineData(typeof(IWriteProtection), typeof(FaultyWriteProtection))]
    public void A_decorator_passes_on_every_member_of_the_seam_those_with_a_default_too(Type seam, Type decorator)
    {
        var map = decorator.GetInterfaceMap(seam);
        Assert.All(map.TargetMethods, method => Assert.Equal(decorator, method.DeclaringType));
    }
}
