using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class X64FieldsTests
{
    // For each group the size of its struct, and how many bytes of it are reserved or padding by <asm/kvm.h>.
    private static readonly (ulong Id, int SizeBytes, int ReservedBytes)[] s_groups =
    [
        (StateIds.X64MpState, Unsafe.SizeOf<kvm_mp_state>(), 0),
        (StateIds.X64Regs, Unsafe.SizeOf<kvm_regs>(), 0),
        (StateIds.X64Sregs, Unsafe.SizeOf<kvm_sregs>(), 8 + (2 * 6)),
        (StateIds.X64Sregs2, Unsafe.SizeOf<kvm_sregs2>(), 8 + (2 * 6)),
        (StateIds.X64DebugRegs, Unsafe.SizeOf<kvm_debugregs>(), 8 + (9 * 8)),
        // Only XCR0 exists: flags, the register's own number and padding, the 15 other entries, the padding at the end.
        (StateIds.X64Xcrs, Unsafe.SizeOf<kvm_xcrs>(), 4 + 8 + (15 * 16) + (16 * 8)),
        (StateIds.X64TscKhz, 4, 0),
        (StateIds.X64VcpuEvents, Unsafe.SizeOf<kvm_vcpu_events>(), 1 + 26),
        (StateIds.X64Clock, Unsafe.SizeOf<kvm_clock_data>(), 4 + 16),
        (StateIds.X64Pit2, Unsafe.SizeOf<kvm_pit_state2>(), 9 * 4),
    ];

    [Fact]
    public void The_registers_of_a_group_and_what_is_reserved_add_up_to_its_struct()
    {
        foreach (var (id, sizeBytes, reservedBytes) in s_groups)
        {
            var fields = X64Fields.Of(id, sizeBytes).ToList();
            Assert.Equal((X64Fields.NameOf(id), sizeBytes - reservedBytes), (X64Fields.NameOf(id), fields.Sum(field => field.Size)));
        }
    }

    [Fact]
    public void Registers_lie_in_their_struct_one_after_another_without_overlaps()
    {
        foreach (var (id, sizeBytes, _) in s_groups.Append((StateIds.X64Xsave, Unsafe.SizeOf<kvm_xsave>(), 0)).Append((StateIds.X64Lapic, Unsafe.SizeOf<kvm_lapic_state>(), 0)))
        {
            var end = 0;
            foreach (var field in X64Fields.Of(id, int.MaxValue))
            {
                Assert.Equal(id, field.Id);
                Assert.InRange(field.Offset, end, sizeBytes - field.Size);
                end = field.Offset + field.Size;
            }
        }
    }

    [Fact]
    public void No_two_registers_have_one_name()
    {
        // A kernel has SREGS or SREGS2, never both.
        var names = s_groups.Select(group => group.Id).Append(StateIds.X64Xsave).Append(StateIds.X64Lapic)
            .Where(id => id != StateIds.X64Sregs)
            .SelectMany(id => X64Fields.Of(id, int.MaxValue).Select(field => field.Name))
            .Concat(Enumerable.Range(0, 0x2000).SelectMany(low => (uint[])
                [(uint)low, 0x4000_0000u + (uint)low, 0x4b56_4d00u + (uint)low, 0xc000_0000u + (uint)low, 0xc001_0000u + (uint)low])
                .Distinct().Select(index => X64Fields.NameOf(StateIds.X64Msr(index))))
            .ToList();
        Assert.Equal([], names.GroupBy(name => name).Where(same => same.Count() > 1).Select(same => same.Key));
    }

    [Fact]
    public void General_registers_are_where_the_struct_has_them()
    {
        foreach (var field in typeof(kvm_regs).GetFields(System.Reflection.BindingFlags.Instance | System.Reflection.BindingFlags.NonPublic | System.Reflection.BindingFlags.Public))
            Assert.Equal(field.Name, RegisterNames.NameAt(StateIds.X64Regs, (int)Marshal.OffsetOf<kvm_regs>(field.Name)));
    }

    [Fact]
    public void Registers_inside_structs_are_where_the_struct_has_them()
    {
        var special = default(kvm_sregs2);
        special.tr.selector = 0xff;
        Assert.Equal("tr.selector", NameOfFirstByte(StateIds.X64Sregs2, special));
        special = default;
        special.ldt.unusable = 0xff;
        Assert.Equal("ldt.unusable", NameOfFirstByte(StateIds.X64Sregs2, special));
        special = default;
        special.idt.limit = 0xff;
        Assert.Equal("idt.limit", NameOfFirstByte(StateIds.X64Sregs2, special));
        special = default;
        special.apic_base = 0xff;
        Assert.Equal("apic_base", NameOfFirstByte(StateIds.X64Sregs2, special));
        special = default;
        special.flags = 0xff;
        Assert.Equal("sregs2.flags", NameOfFirstByte(StateIds.X64Sregs2, special));
        var events = new kvm_vcpu_events { exception_has_payload = 1 };
        Assert.Equal("exception_has_payload", NameOfFirstByte(StateIds.X64VcpuEvents, events));
        events = new kvm_vcpu_events { sipi_vector = 1 };
        Assert.Equal("sipi_vector", NameOfFirstByte(StateIds.X64VcpuEvents, events));
        events = new kvm_vcpu_events { smi_latched_init = 1 };
        Assert.Equal("smi.latched_init", NameOfFirstByte(StateIds.X64VcpuEvents, events));
        Assert.Equal("clock.host_tsc", NameOfFirstByte(StateIds.X64Clock, new kvm_clock_data { host_tsc = 1 }));
        Assert.Equal("pit.flags", NameOfFirstByte(StateIds.X64Pit2, new kvm_pit_state2 { flags = 1 }));
    }

    [Theory]
    [InlineData(StateIds.X64Regs, 128, "rip")]
    [InlineData(StateIds.X64Regs, 135, "rip")]
    [InlineData(StateIds.X64Regs, 136, "rflags")]
    [InlineData(StateIds.X64DebugRegs, 48, "DEBUGREGS+0x30")]
    [InlineData(StateIds.X64Xsave, 32, "st0")]
    [InlineData(StateIds.X64Xsave, 160, "xmm0")]
    [InlineData(StateIds.X64Xsave, 512, "xstate_bv")]
    [InlineData(StateIds.X64Xsave, 576, "ymm0_hi")]
    [InlineData(StateIds.X64Lapic, 0x380, "lapic.tmict")]
    [InlineData(StateIds.X64Lapic, 0x210, "lapic.irr1")]
    [InlineData(StateIds.X64Ioapic, 8, "IOAPIC")]
    [InlineData(StateIds.X64MsrBase | 0xc000_0080, 3, "IA32_EFER")]
    [InlineData(0x6030_0000_0013_c102ul, 0, "TCR_EL1")]
    public void A_byte_has_the_name_of_its_register_or_of_its_place(ulong id, int offset, string name) =>
        Assert.Equal(name, RegisterNames.NameAt(id, offset));

    [Fact]
    public void An_item_without_fields_is_one_register_and_one_that_is_cut_short_loses_what_it_lacks()
    {
        Assert.Equal([new RegisterField("IA32_PAT", StateIds.X64Msr(0x277), 0, 8)], X64Fields.Of(StateIds.X64Msr(0x277), 8));
        Assert.Equal(["rax", "rbx"], X64Fields.Of(StateIds.X64Regs, 23).Select(field => field.Name));
    }

    private static string NameOfFirstByte<T>(ulong id, T value)
        where T : unmanaged
    {
        var bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref value, 1));
        return RegisterNames.NameAt(id, bytes.IndexOfAnyExcept((byte)0));
    }
}
