using System.Buffers.Binary;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Guests.Arm64;

public sealed class Arm64GuestProgramTests
{
    [Theory]
    [InlineData(GuestKind.Counter, 64, 8UL << 20)]
    [InlineData(GuestKind.Counter, 3, 4UL << 30)]
    [InlineData(GuestKind.Ledger, 64, 4UL << 30)]
    public void What_is_loaded_lies_apart_and_within_the_memory_in_use(GuestKind kind, int vcpus, ulong memoryBytes)
    {
        var program = Arm64GuestProgram.Create(kind, new GuestOptions { Vcpus = vcpus, MemoryBytes = memoryBytes });
        List<(ulong Start, ulong End)> ranges = [];
        program.Load((address, bytes) => ranges.Add((address, address + (ulong)bytes.Length)));
        var end = 0UL;
        foreach (var range in ranges.OrderBy(range => range.Start))
        {
            Assert.True(range.Start >= end, $"0x{range.Start:x} is written twice.");
            end = range.End;
        }

        Assert.True(end <= program.UsedMemoryBytes && program.UsedMemoryBytes <= memoryBytes);
    }

    [Fact]
    public void Memory_that_reaches_the_device_is_refused()
    {
        var options = new GuestOptions { Vcpus = 1, MemoryBytes = SequenceDevice.Address };
        Assert.NotNull(Arm64GuestProgram.Create(GuestKind.Ledger, options));
        Assert.Throws<ArgumentOutOfRangeException>(() => Arm64GuestProgram.Create(GuestKind.Ledger, options with { MemoryBytes = SequenceDevice.Address + 4096 }));
        Assert.Throws<ArgumentOutOfRangeException>(() => Arm64GuestProgram.Create(GuestKind.Ledger, options with { MemoryBytes = 4097 * 16 }));
    }

    [Fact]
    public void The_table_maps_each_gigabyte_to_itself_and_the_devices_as_device()
    {
        var table = Arm64PageTable.Create();
        for (var i = 0; i < 512; i++)
        {
            var entry = BinaryPrimitives.ReadUInt64LittleEndian(table.AsSpan(8 * i));
            Assert.Equal((ulong)i << 30, entry & 0x0000_ffff_c000_0000);
            Assert.Equal(i == 511 ? 0x0060_0000_0000_0405ul : 0x701, entry & ~0x0000_ffff_c000_0000ul);
        }

        Assert.Equal(SequenceDevice.Address, Arm64PageTable.DeviceBlock);
    }

    [Fact]
    public void Both_guests_speak_to_the_same_device_as_those_of_x64()
    {
        Assert.Equal(
            (Arm64CounterCode.SequenceOffset, Arm64CounterCode.ReportOffset, Arm64CounterCode.ReportEvery),
            (Arm64LedgerCode.SequenceOffset, Arm64LedgerCode.ReportOffset, Arm64LedgerCode.ReportEvery));
        Assert.Equal(CounterCode.ReportEvery, Arm64CounterCode.ReportEvery);
        Assert.Equal(LedgerCode.OneHop, Arm64LedgerCode.OneHop);
        Assert.Equal(
            (SequenceDevice.SequencePort, SequenceDevice.ReportPort, null),
            (SequenceDevice.PortAt(SequenceDevice.Address), SequenceDevice.PortAt(SequenceDevice.Address + 4), SequenceDevice.PortAt(SequenceDevice.Address + 8)));
        Assert.Equal((Arm64CounterCode.CodeEnd, Arm64LedgerCode.CodeEnd), ((ulong)Arm64CounterCode.Bytes.Length, (ulong)Arm64LedgerCode.Bytes.Length));
    }

    [Fact]
    public void A_guests_state_tells_its_architecture_and_an_older_one_is_of_x64()
    {
        var options = new GuestOptions { Vcpus = 3, Seed = 8, WorkingPages = 32, ExitEverySteps = 4, Architecture = MachineArchitecture.Arm64 };
        byte[] device = [1, 2, 3];
        var state = Checkpoint.Kvm.Guests.GuestState.Write(GuestProgram.Create(GuestKind.Ledger, options), device);
        var (kind, read, rest) = Checkpoint.Kvm.Guests.GuestState.Read(state);
        Assert.Equal((GuestKind.Ledger, options), (kind, read));
        Assert.Equal(device, rest);

        // Version 1 ends before the architecture.
        byte[] older = [1, 0, 0, 0, .. state[4..52], .. device];
        (kind, read, rest) = Checkpoint.Kvm.Guests.GuestState.Read(older);
        Assert.Equal((GuestKind.Ledger, options with { Architecture = MachineArchitecture.X64 }), (kind, read));
        Assert.Equal(device, rest);

        Assert.Throws<InvalidDataException>(() => Checkpoint.Kvm.Guests.GuestState.Read(state.AsSpan(0, 55)));
        Assert.Throws<InvalidDataException>(() => Checkpoint.Kvm.Guests.GuestState.Read([3, 0, 0, 0]));
        Assert.Throws<InvalidDataException>(() => Checkpoint.Kvm.Guests.GuestState.Read([]));
    }
}
