using System.Globalization;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class LinuxGuestMemoryTests
{
    private static readonly MemoryRegion[] s_regions =
    [
        new(1, 0, 0xffff_ffff_ffff_0000, 0xf000),
        new(0, 0, 0x10000, 0x4000),
    ];

    [Fact]
    public void Regions_are_told_in_order_of_guest_address()
    {
        using var memory = LinuxGuestMemory.Create(s_regions);
        Assert.Equal([0u, 1u], memory.Regions.Select(region => region.Slot));
    }

    [Fact]
    public void What_is_written_is_read_and_seen_through_windows()
    {
        using var memory = LinuxGuestMemory.Create(s_regions);
        memory.Write(0x13ffc, [1, 2, 3, 4]);
        var read = new byte[4];
        memory.Read(0x13ffc, read);
        Assert.Equal([1, 2, 3, 4], read);
        var window = memory.Window(0x13ffe, 2);
        Assert.Equal([3, 4], window.ToArray());
        window.Span[0] = 9;
        memory.Read(0x13ffe, read.AsSpan(0, 1));
        Assert.Equal(9, read[0]);
    }

    [Fact]
    public void Fresh_memory_is_zero()
    {
        using var memory = LinuxGuestMemory.Create(s_regions);
        Assert.Equal(-1, memory.Window(0x10000, 0x4000).Span.IndexOfAnyExcept((byte)0));
    }

    [Theory]
    [InlineData(0xffffUL, 1)]
    [InlineData(0x13ffdUL, 4)]
    [InlineData(0x14001UL, 0)]
    [InlineData(0UL, 1)]
    [InlineData(0x10000UL, 0x4001)]
    [InlineData(0xffff_ffff_ffff_efffUL, 2)]
    [InlineData(0xffff_ffff_ffff_ffffUL, 1)]
    [InlineData(0xffff_ffff_ffff_ffffUL, 0x10002)]
    public void A_range_that_is_not_inside_one_slot_is_refused(ulong guestAddress, int length)
    {
        using var memory = LinuxGuestMemory.Create(s_regions);
        var buffer = new byte[length];
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Read(guestAddress, buffer));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Write(guestAddress, buffer));
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Window(guestAddress, length));
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(int.MinValue)]
    [InlineData((1 << 30) + 1)]
    public void A_window_has_between_nothing_and_one_GiB(int length)
    {
        using var memory = LinuxGuestMemory.Create(s_regions);
        Assert.Throws<ArgumentOutOfRangeException>(() => memory.Window(0x10000, length));
    }

    [Fact]
    public void Slots_that_overlap_or_are_not_whole_pages_are_refused()
    {
        Assert.Throws<ArgumentException>(() => LinuxGuestMemory.Create([new(0, 0, 0, 0x2000), new(1, 0, 0x1000, 0x1000)]));
        Assert.Throws<ArgumentException>(() => LinuxGuestMemory.Create([new(0, 0, 0, 0x1001)]));
        Assert.Throws<ArgumentException>(() => LinuxGuestMemory.Create([new(0, 0, 0x10, 0x1000)]));
        Assert.Throws<ArgumentException>(() => LinuxGuestMemory.Create([new(0, 0, 0, 0)]));
        Assert.Throws<ArgumentException>(() => LinuxGuestMemory.Create([new(0, 0, 0xffff_ffff_ffff_f000, 0x2000)]));
    }

    [Fact]
    public void Memory_and_windows_refuse_access_after_disposal()
    {
        var memory = LinuxGuestMemory.Create(s_regions);
        var window = memory.Window(0x10000, 16);
        memory.Dispose();
        Assert.Throws<ObjectDisposedException>(() => memory.Read(0x10000, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => memory.Write(0x10000, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => memory.Window(0x10000, 1));
        Assert.Throws<ObjectDisposedException>(() => { _ = window.Span; });
    }

    [Fact]
    public void A_pinned_window_keeps_its_pages_until_it_is_unpinned()
    {
        var memory = LinuxGuestMemory.Create([new(0, 0, 0, 0x1000)]);
        var mapping = memory.Slots[0].Mapping;
        var pin = memory.Window(0, 16).Pin();
        memory.Dispose();
        Assert.True(IsMapped(memory.Slots[0].HostAddress));
        Assert.False(mapping.IsReleased);
        pin.Dispose();
        Assert.True(mapping.IsReleased);
    }

    [Fact]
    public void Large_slots_share_their_place_in_huge_pages_with_the_guest()
    {
        using var memory = LinuxGuestMemory.Create([new(0, 0, 0x10_0000, 0x40_0000), new(1, 0, 0x4000_0000, 0x20_0000)]);
        Assert.All(memory.Slots, slot => Assert.Equal(slot.Region.GuestAddress % (2 << 20), slot.HostAddress % (2 << 20)));
        memory.Write(0x10_0000, [1]);
        memory.Write(0x4f_ffff, [1]);
    }

    [KvmFact]
    public void Memory_outlives_the_machine_in_whatever_order_they_are_disposed_of()
    {
        using var system = SystemHandle.Open();
        var vm = system.CreateVm();
        var memory = vm.CreateMemory([new(0, 0, 0, 0x10000)]);
        var vcpu = vm.CreateVcpu(0, 0);
        var mapping = memory.Slots[0].Mapping;
        memory.Dispose();
        Assert.False(mapping.IsReleased);
        vm.Dispose();
        Assert.False(mapping.IsReleased);
        Assert.True(IsMapped(memory.Slots[0].HostAddress));
        vcpu.Dispose();
        Assert.True(mapping.IsReleased);
    }

    internal static bool IsMapped(ulong address) => File.ReadLines("/proc/self/maps").Any(line =>
    {
        var range = line[..line.IndexOf(' ')].Split('-');
        return ulong.Parse(range[0], NumberStyles.HexNumber, CultureInfo.InvariantCulture) <= address
            && address < ulong.Parse(range[1], NumberStyles.HexNumber, CultureInfo.InvariantCulture);
    });
}
