using System.Buffers.Binary;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class XsaveLayoutTests
{
    private const int SupportedBytes = 3072;

    [Fact]
    public void The_places_of_avx_512_are_those_that_cpuid_tells()
    {
        Assert.Equal(TimerState.Wide, XsaveLayout.Of(Cpuid(TimerState.Wide)));
        Assert.Equal(TimerState.Compact, XsaveLayout.Of(Cpuid(TimerState.Compact)));
        Assert.False(XsaveLayout.Of(Cpuid(TimerState.Compact with { UpperHalvesOffset = 0 })).IsKnown);
        Assert.False(XsaveLayout.Of([]).IsKnown);
        Assert.Equal((2688, 2432), (TimerState.Wide.End, TimerState.Compact.End));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Every_lane_and_every_mask_is_read_from_its_own_place(bool compact)
    {
        // Each 64 bits of the area hold their own offset, so a value tells where it was read.
        var layout = compact ? TimerState.Compact : TimerState.Wide;
        var area = new byte[SupportedBytes];
        for (var at = 0; at < area.Length; at += 8)
            BinaryPrimitives.WriteUInt64LittleEndian(area.AsSpan(at), (ulong)at);
        area[512] = 0xe7;
        var view = new XsaveView(area, layout);

        Assert.True(view.HasAvx512);
        Assert.Equal([160UL, 168, 576, 584], Lanes(view, 0, 0, 4));
        Assert.Equal([400UL, 408, 816, 824], Lanes(view, 15, 0, 4));
        Assert.Equal(compact ? [896UL, 904, 912, 920] : [1152UL, 1160, 1168, 1176], Lanes(view, 0, 4, 4));
        Assert.Equal(compact ? 1376UL + 24 : 1632 + 24, view.Lane(15, 7));
        Assert.Equal(compact ? 1408UL : 1664, view.Lane(16, 0));
        Assert.Equal(compact ? 1408UL + (15 * 64) + 56 : 1664 + (15 * 64) + 56, view.Lane(31, 7));
        Assert.Equal(compact ? (832UL, 888UL) : (1088UL, 1144UL), (view.Mask(0), view.Mask(7)));
    }

    [Theory]
    [InlineData(5)]
    [InlineData(6)]
    [InlineData(7)]
    public void A_component_that_is_not_present_is_zero_whatever_its_bytes_are(int component)
    {
        var area = new byte[SupportedBytes];
        area.AsSpan().Fill(0xff);
        area[512] = (byte)~(1 << component);
        var view = new XsaveView(area, TimerState.Wide);

        Assert.Equal(component == 5 ? 0 : ulong.MaxValue, view.Mask(1));
        Assert.Equal(component == 6 ? 0 : ulong.MaxValue, view.Lane(3, 5));
        Assert.Equal(component == 7 ? 0 : ulong.MaxValue, view.Lane(20, 2));
        Assert.Equal(ulong.MaxValue, view.Lane(3, 3));
    }

    [Fact]
    public void An_area_that_ends_before_the_upper_registers_do_has_no_avx_512()
    {
        Assert.True(new XsaveView(new byte[TimerState.Wide.End], TimerState.Wide).HasAvx512);
        Assert.False(new XsaveView(new byte[TimerState.Wide.End - 1], TimerState.Wide).HasAvx512);
        Assert.False(new XsaveView(new byte[SupportedBytes]).HasAvx512);
    }

    private static ulong[] Lanes(XsaveView view, int register, int first, int count)
    {
        var lanes = new ulong[count];
        for (var i = 0; i < count; i++)
            lanes[i] = view.Lane(register, first + i);
        return lanes;
    }

    private static byte[] Cpuid(XsaveLayout layout)
    {
        // A leaf with the same subleaves stands before it.
        byte[] cpuid = [.. Entry(0x4, 5, 1), .. Entry(0xd, 5, layout.MasksOffset), .. Entry(0xd, 6, layout.UpperHalvesOffset), .. Entry(0xd, 7, layout.UpperRegistersOffset)];
        return cpuid;
    }

    private static byte[] Entry(uint function, uint index, int ebx)
    {
        var entry = new byte[40];
        BinaryPrimitives.WriteUInt32LittleEndian(entry, function);
        BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(4), index);
        BinaryPrimitives.WriteInt32LittleEndian(entry.AsSpan(16), ebx);
        return entry;
    }
}
