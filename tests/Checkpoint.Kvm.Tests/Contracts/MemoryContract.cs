using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>What guest memory is to its host, on every kernel and architecture.</summary>
public abstract class MemoryContract : IDisposable
{
    private readonly IKvm _kvm;
    private readonly IVm _vm;
    private readonly IGuestMemory _memory;

    protected MemoryContract(IKvm kvm)
    {
        _kvm = kvm;
        _vm = kvm.CreateVm();
        _memory = _vm.CreateMemory([new(1, 0, 0x4_0000_0000, 0x3000), new(0, 0, 0x10000, 0x4000)]);
    }

    public void Dispose()
    {
        _vm.Dispose();
        _memory.Dispose();
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void Regions_are_told_in_order_of_guest_address() =>
        Assert.Equal([0u, 1u], _memory.Regions.Select(region => region.Slot));

    [ContractFact]
    public void Fresh_memory_is_zero() =>
        Assert.Equal(-1, _memory.ReadBytes(0x10000, 0x4000).IndexOfAnyExcept((byte)0));

    [ContractFact]
    public void What_is_written_and_filled_is_read()
    {
        // At every alignment, so that neither words nor pages show.
        for (var at = 0x10ffaul; at < 0x11006; at++)
        {
            _memory.Write(at, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
            var read = new byte[9];
            _memory.Read(at, read);
            Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8, 9], read);
            _memory.Fill(at + 3, 4, (byte)99, static (span, value) => span.Fill(value));
            Assert.Equal([1, 2, 3, 99, 99, 99, 99, 8, 9], _memory.ReadBytes(at, 9));
        }
    }

    [ContractFact]
    public void The_last_byte_of_a_slot_is_its_own()
    {
        _memory.Write(0x13fff, [7]);
        Assert.Equal([7], _memory.ReadBytes(0x13fff, 1));
        _memory.Write(0x14000, []);
        Assert.Empty(_memory.ReadBytes(0x14000, 0));
    }

    [ContractFact]
    public void A_range_that_is_not_inside_one_slot_is_refused()
    {
        (ulong Address, int Length)[] refused =
        [
            (0xffff, 1), (0x13ffd, 4), (0x14001, 0), (0, 1), (0x10000, 0x4001), (0x3_ffff_ffff, 2), (ulong.MaxValue, 1), (ulong.MaxValue, 0x10002),
        ];
        foreach (var (address, length) in refused)
        {
            var buffer = new byte[length];
            Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Read(address, buffer));
            Assert.Throws<ArgumentOutOfRangeException>(() => _memory.Write(address, buffer));
            Assert.Throws<ArgumentOutOfRangeException>(() => Clear(address, length));
        }

        Assert.Throws<ArgumentOutOfRangeException>(() => Clear(0x10000, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => Clear(0x10000, (1 << 30) + 1));
    }

    [ContractFact]
    public void Slots_that_overlap_or_are_not_whole_pages_are_refused_before_the_kernel_sees_them()
    {
        MemoryRegion[][] refused =
        [
            [new(2, 0, 0, 0x2000), new(3, 0, 0x1000, 0x1000)],
            [new(2, 0, 0, 0x1001)], [new(2, 0, 0x10, 0x1000)], [new(2, 0, 0, 0)], [new(2, 0, 0xffff_ffff_ffff_f000, 0x2000)],
        ];
        foreach (var regions in refused)
            Assert.Throws<ArgumentException>(() => _vm.CreateMemory(regions));
    }

    [ContractFact]
    public void Memory_refuses_access_after_disposal()
    {
        _vm.Dispose();
        _memory.Dispose();
        Assert.Throws<ObjectDisposedException>(() => _memory.Read(0x10000, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => _memory.Write(0x10000, new byte[1]));
        Assert.Throws<ObjectDisposedException>(() => Clear(0x10000, 1));
    }

    private void Clear(ulong guestAddress, int length) => _memory.Fill(guestAddress, length, 0, static (span, _) => span.Clear());
}
