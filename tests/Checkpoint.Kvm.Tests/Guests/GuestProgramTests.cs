using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class GuestProgramTests
{
    [Theory]
    [InlineData(GuestKind.Counter, 1, 8UL << 20)]
    [InlineData(GuestKind.Counter, 64, 8UL << 20)]
    [InlineData(GuestKind.Counter, 3, 4UL << 30)]
    [InlineData(GuestKind.Ledger, 1, 8UL << 20)]
    [InlineData(GuestKind.Ledger, 64, 4UL << 30)]
    [InlineData(GuestKind.Timer, 1, 8UL << 20)]
    [InlineData(GuestKind.Timer, 64, 8UL << 20)]
    public void What_is_loaded_lies_apart_and_within_the_memory_in_use(GuestKind kind, int vcpus, ulong memoryBytes)
    {
        var program = X64GuestProgram.Create(kind, new GuestOptions { Vcpus = vcpus, MemoryBytes = memoryBytes });
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

    [Theory]
    [InlineData(GuestKind.Counter, 8)]
    [InlineData(GuestKind.Ledger, 23)]
    [InlineData(GuestKind.Timer, 10)]
    public void A_guest_fits_the_pages_it_asks_for_and_refuses_one_page_less(GuestKind kind, int pages)
    {
        var enough = new GuestOptions { Vcpus = 1, MemoryBytes = (ulong)pages * 4096, WorkingPages = kind == GuestKind.Ledger ? 16 : 1 };
        Assert.Equal(enough.MemoryBytes, X64GuestProgram.Create(kind, enough).UsedMemoryBytes);
        Assert.Throws<ArgumentOutOfRangeException>(
            () => X64GuestProgram.Create(kind, enough with { MemoryBytes = enough.MemoryBytes - 4096 }));
    }

    [Theory]
    [InlineData(16, 7)]
    [InlineData(64, 16)]
    [InlineData(1024, 256)]
    [InlineData(8192, 511)]
    public void The_tokens_of_a_ledger_lie_all_over_the_pages_that_it_is_given(int pages, int tokens)
    {
        var program = X64GuestProgram.Create(GuestKind.Ledger, new GuestOptions { Vcpus = 1, MemoryBytes = 64UL << 20, WorkingPages = pages });
        var ledger = Assert.IsType<LedgerProgram>(program);
        Assert.Equal((pages, tokens), (ledger.SlotCount, ledger.TokenCount));
        var slots = Enumerable.Range(0, pages).Select(ledger.SlotAddress).ToList();
        Assert.Equal(pages, slots.Select(address => address / 4096).Distinct().Count());
        Assert.All(slots, address => Assert.InRange(address, ledger.FirstFreePage, ledger.UsedMemoryBytes - 1));
        Assert.Equal(ledger.FirstFreePage + ((ulong)pages * 4096), ledger.UsedMemoryBytes);
        Assert.All(
            new int?[] { 15, 17, 8, 0, -16, 1 << 21 },
            bad => Assert.Throws<ArgumentOutOfRangeException>(() => X64GuestProgram.Create(GuestKind.Ledger, new GuestOptions { Vcpus = 1, WorkingPages = bad })));
    }

    [Fact]
    public void Options_that_no_guest_can_have_are_refused()
    {
        var good = new GuestOptions { Vcpus = 1 };
        GuestOptions[] bad =
        [
            good with { Vcpus = 0 },
            good with { Vcpus = 65 },
            good with { MemoryBytes = 8191 },
            good with { ExitEverySteps = 3 },
            good with { WriteEverySteps = 0 },
            good with { ExitEverySteps = 4, WriteEverySteps = 8 },
            good with { WorkingPages = 0 },
            good with { WorkingPages = 4096 },
        ];

        Assert.All(bad, options => Assert.Throws<ArgumentOutOfRangeException>(() => X64GuestProgram.Create(GuestKind.Counter, options)));
    }

    [Theory]
    [InlineData(GuestKind.Counter)]
    [InlineData(GuestKind.Ledger)]
    [InlineData(GuestKind.Timer)]
    public void Vcpus_start_in_64_bit_user_mode_with_port_io_allowed(GuestKind kind)
    {
        var program = X64GuestProgram.Create(kind, new GuestOptions { Vcpus = 2 });
        var memory = new byte[program.UsedMemoryBytes];
        program.Load((address, bytes) => bytes.CopyTo(memory.AsMemory((int)address)));
        var entry = program.Entry(1);

        Assert.Equal((1, 3, 0), (entry.Cs.L, entry.Cs.Dpl, entry.Cs.Db));
        Assert.Equal((3, 3), (entry.Cs.Selector & 3, entry.Data.Selector & 3));
        Assert.Equal((11, 0), (entry.Tr.Type, entry.Tr.S));
        Assert.Equal(kind == GuestKind.Timer ? 0x202UL : 2UL, entry.General.Rflags);
        Assert.InRange(program.LoopStart, program.CodeStart, program.LoopEnd - 1);
        foreach (var port in new[] { SequenceDevice.SequencePort, SequenceDevice.ReportPort })
        {
            var bitmap = (int)entry.Tr.Base + BitConverter.ToUInt16(memory, (int)entry.Tr.Base + 0x66);
            Assert.Equal(0, (BitConverter.ToUInt16(memory, bitmap + (port / 8)) >> (port % 8)) & 0xf);
            Assert.True((uint)(bitmap - (int)entry.Tr.Base + (port / 8) + 1) <= entry.Tr.Limit);
        }
    }

    [Fact]
    public void Avx_state_is_on_only_for_the_guest_that_uses_it()
    {
        var plain = X64GuestProgram.Create(GuestKind.Counter, new GuestOptions { Vcpus = 1 }).Entry(0);
        var wide = X64GuestProgram.Create(GuestKind.Counter, new GuestOptions { Vcpus = 1, UseYmm = true }).Entry(0);

        Assert.Equal((0x620UL, 1UL), (plain.Cr4, plain.Xcr0));
        Assert.Equal((0x40620UL, 7UL), (wide.Cr4, wide.Xcr0));
    }

    [Fact]
    public void The_timer_guest_starts_with_descriptor_tables_a_stack_for_its_handlers_and_an_apic_that_msrs_reach()
    {
        var program = X64GuestProgram.Create(GuestKind.Timer, new GuestOptions { Vcpus = 2, UseYmm = true, UseZmm = true });
        var memory = new byte[program.UsedMemoryBytes];
        program.Load((address, bytes) => bytes.CopyTo(memory.AsMemory((int)address)));
        var entry = program.Entry(1);
        ulong Gate(int vector)
        {
            var low = BitConverter.ToUInt64(memory, (int)entry.Idt.Address + (16 * vector));
            Assert.Equal(0x8e00_0008UL, ((low >> 16) & 0xffff) | ((low >> 32) & 0xffff) << 16);
            return (low & 0xffff) | ((low >> 32) & 0xffff_0000);
        }

        Assert.Equal((0xe7UL, true), (entry.Xcr0, entry.X2Apic));
        Assert.Equal(program.CodeStart + TimerCode.TrapHandler, Gate(1));
        Assert.Equal(program.CodeStart + TimerCode.TimerHandler, Gate(TimerApic.Vector));
        Assert.Equal((16 * (TimerApic.Vector + 1)) - 1, entry.Idt.Limit);
        Assert.Equal(((TimerProgram)program).StackTop(1), BitConverter.ToUInt64(memory, (int)entry.Tr.Base + 4));
        foreach (var (selector, rights) in new[] { (0x08, (0x9bUL, 0xaUL)), (entry.Data.Selector & ~3, (0xf3UL, 0xcUL)), (entry.Cs.Selector & ~3, (0xfbUL, 0xaUL)) })
        {
            var descriptor = BitConverter.ToUInt64(memory, (int)entry.Gdt.Address + selector);
            Assert.Equal(rights, ((descriptor >> 40) & 0xff, (descriptor >> 52) & 0xf));
            Assert.True(selector + 7 <= entry.Gdt.Limit);
        }
    }

    [Fact]
    public void What_the_timer_guest_uses_of_the_processor_belongs_to_its_checkpoint()
    {
        var options = new GuestOptions { Vcpus = 2, UseYmm = true, UseZmm = true, UseTscDeadline = true };
        foreach (var each in (GuestOptions[])[options, options with { UseZmm = false }, options with { UseTscDeadline = false }])
            Assert.Equal(each, Checkpoint.Kvm.Guests.GuestState.Read(Checkpoint.Kvm.Guests.GuestState.Write(X64GuestProgram.Create(GuestKind.Timer, each), [1, 2])).Options);
    }

    [Fact]
    public void Registers_of_another_number_of_vcpus_are_refused()
    {
        var program = X64GuestProgram.Create(GuestKind.Ledger, new GuestOptions { Vcpus = 2 });

        Assert.Throws<ArgumentException>(() => program.Verify((_, _) => { }, [], new SequenceDevice(2)));
    }
}
