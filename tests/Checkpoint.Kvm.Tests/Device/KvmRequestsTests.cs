using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Tests.Abi;

namespace Checkpoint.Kvm.Tests.Device;

public sealed class KvmRequestsTests
{
    [Fact]
    public void Requests_that_a_header_may_lack_have_their_published_codes()
    {
        Assert.Equal(0x4008AEC7u, KvmRequests.GetManyRegs.Code);
        Assert.Equal(0x4008AEC8u, KvmRequests.SetManyRegs.Code);
        Assert.Equal(0x4020AEAEu, KvmRequests.ArmVcpuInit.Code);
        Assert.Equal(0x8020AEAFu, KvmRequests.ArmPreferredTarget.Code);
        Assert.Equal(0x4004AEC2u, KvmRequests.ArmVcpuFinalize.Code);
        Assert.Equal(0x8140AECCu, KvmRequests.GetSregs2.Code);
        Assert.Equal(0x4140AECDu, KvmRequests.SetSregs2.Code);
        Assert.Equal(0x9000AECFu, KvmRequests.GetXsave2.Code);
        Assert.Equal(0xC028AA05u, UserfaultfdRequests.Move.Code);
    }

    [Fact]
    public void No_two_requests_share_a_code_or_a_name()
    {
        var requests = KernelHeaders.Requests.ToArray();
        Assert.Equal(requests.Length, requests.Select(request => request.Code).Distinct().Count());
        Assert.Equal(requests.Length, requests.Select(request => request.Name).Distinct().Count());
    }

    [Fact]
    public void A_request_knows_the_size_of_its_struct()
    {
        Assert.Equal(144, KvmRequests.GetRegs.ArgumentSize);
        Assert.Equal(4096, KvmRequests.GetXsave.ArgumentSize);
        Assert.Equal(0, KvmRequests.GetTscKhz.ArgumentSize);
    }

    [Fact]
    public void An_error_number_without_a_name_is_told_as_a_number()
    {
        Assert.Equal("EINVAL", Errno.NameOf(22));
        Assert.Equal("errno 600", Errno.NameOf(600));
    }
}
