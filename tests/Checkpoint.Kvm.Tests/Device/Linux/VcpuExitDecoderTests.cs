using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class VcpuExitDecoderTests
{
    [Theory]
    [InlineData(VcpuExitReason.InternalError, 3UL)]
    [InlineData(VcpuExitReason.SystemEvent, 2UL)]
    [InlineData(VcpuExitReason.FailEntry, 0x80000021UL)]
    [InlineData(VcpuExitReason.Unknown, 7UL)]
    public void The_further_word_of_an_exit_is_its_detail(VcpuExitReason reason, ulong detail)
    {
        var page = Page((uint)reason);
        MemoryMarshal.Write(page.AsSpan(32), detail);
        var exit = Decode(page);
        Assert.Equal(reason, exit.Reason);
        Assert.Equal(detail, exit.Detail);
        Assert.True(exit.Data.IsEmpty);
    }

    [Fact]
    public void A_repeated_output_holds_all_its_accesses()
    {
        var page = Page((uint)VcpuExitReason.Io);
        (page[32], page[33], page[34], page[36]) = (1, 2, 0x80, 3);
        MemoryMarshal.Write(page.AsSpan(40), 4096UL);
        var exit = Decode(page);
        Assert.True(exit.IsWrite);
        Assert.Equal(2, exit.AccessSize);
        Assert.Equal(6, exit.Data.Length);
        Assert.True(Unsafe.AreSame(ref page[4096], ref exit.Data[0]));
    }

    [Fact]
    public void Data_outside_the_shared_pages_is_never_handed_out()
    {
        var page = Page((uint)VcpuExitReason.Io);
        (page[33], page[36]) = (4, 2);
        MemoryMarshal.Write(page.AsSpan(40), (ulong)page.Length - 7);
        Assert.Throws<UnreachableException>(() => { Decode(page); });
        var mmio = Page((uint)VcpuExitReason.Mmio);
        mmio[48] = 9;
        Assert.Throws<UnreachableException>(() => { Decode(mmio); });
    }

    private static byte[] Page(uint reason)
    {
        var page = new byte[8192];
        MemoryMarshal.Write(page.AsSpan(8), reason);
        return page;
    }

    private static VcpuExit Decode(byte[] page) =>
        VcpuExitDecoder.Decode(ref Unsafe.As<byte, kvm_run>(ref page[0]), (ulong)page.Length);
}
