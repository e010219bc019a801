using System.Collections.Frozen;
using System.Globalization;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// The registers inside the x86 groups, by name, in the layout of <c>&lt;asm/kvm.h&gt;</c>. What no field covers is reserved
/// or padding; it is stored and compared all the same, as bytes of its group.
/// </summary>
public static class X64Fields
{
    private static readonly FrozenDictionary<ulong, RegisterField[]> s_byGroup = Build();

    /// <summary>The registers of one item; for an MSR the item itself, for an id without fields one field of all its bytes.</summary>
    /// <param name="id">The state item's id.</param>
    /// <param name="size">The size in bytes of the item's value.</param>
    public static IEnumerable<RegisterField> Of(ulong id, int size) =>
        s_byGroup.TryGetValue(id, out var fields)
            ? fields.Where(field => field.Offset + field.Size <= size)
            : [new RegisterField(NameOf(id), id, 0, size)];

    /// <summary>The registers of all groups.</summary>
    internal static IEnumerable<RegisterField> All => s_byGroup.Values.SelectMany(fields => fields);

    /// <summary>The ids of the groups that have a name.</summary>
    internal static IReadOnlyList<ulong> Groups { get; } =
    [
        StateIds.X64MpState, StateIds.X64Regs, StateIds.X64Sregs, StateIds.X64Sregs2, StateIds.X64Xsave, StateIds.X64Xcrs,
        StateIds.X64DebugRegs, StateIds.X64Lapic, StateIds.X64TscKhz, StateIds.X64TscOffset, StateIds.X64VcpuEvents, StateIds.X64NestedState,
        StateIds.X64Pit2, StateIds.X64Clock, StateIds.X64PicMaster, StateIds.X64PicSlave, StateIds.X64Ioapic,
    ];

    /// <summary>The name of a whole item, see <see cref="RegisterNames.NameOf"/>.</summary>
    public static string NameOf(ulong id) => RegisterNames.NameOf(id);

    /// <summary>The name of a group: <c>REGS</c>, <c>XSAVE</c>; null for an id that is none of these.</summary>
    internal static string? GroupName(ulong id) => id switch
    {
        StateIds.X64MpState => "MP_STATE",
        StateIds.X64Regs => "REGS",
        StateIds.X64Sregs => "SREGS",
        StateIds.X64Sregs2 => "SREGS2",
        StateIds.X64Xsave => "XSAVE",
        StateIds.X64Xcrs => "XCRS",
        StateIds.X64DebugRegs => "DEBUGREGS",
        StateIds.X64Lapic => "LAPIC",
        StateIds.X64TscKhz => "TSC_KHZ",
        StateIds.X64TscOffset => "TSC_OFFSET",
        StateIds.X64VcpuEvents => "VCPU_EVENTS",
        StateIds.X64NestedState => "NESTED_STATE",
        StateIds.X64Pit2 => "PIT2",
        StateIds.X64Clock => "CLOCK",
        StateIds.X64PicMaster => "PIC0",
        StateIds.X64PicSlave => "PIC1",
        StateIds.X64Ioapic => "IOAPIC",
        _ => null,
    };

    private static FrozenDictionary<ulong, RegisterField[]> Build()
    {
        var groups = new Dictionary<ulong, RegisterField[]>
        {
            [StateIds.X64MpState] = new Layout(StateIds.X64MpState).Add(4, "mp_state").Fields,
            [StateIds.X64Regs] = new Layout(StateIds.X64Regs)
                .Add(8, "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "rsp", "rbp", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip", "rflags")
                .Fields,
            [StateIds.X64Sregs] = SpecialRegisters(StateIds.X64Sregs)
                .Add(8, "interrupt_bitmap[0]", "interrupt_bitmap[1]", "interrupt_bitmap[2]", "interrupt_bitmap[3]")
                .Fields,
            [StateIds.X64Sregs2] = SpecialRegisters(StateIds.X64Sregs2)
                .Add(8, "sregs2.flags", "pdptr0", "pdptr1", "pdptr2", "pdptr3")
                .Fields,
            [StateIds.X64DebugRegs] = new Layout(StateIds.X64DebugRegs).Add(8, "dr0", "dr1", "dr2", "dr3", "dr6", "dr7").Fields,
            [StateIds.X64Xcrs] = new Layout(StateIds.X64Xcrs).Add(4, "nr_xcrs").Skip(4 + 8).Add(8, "xcr0").Fields,
            [StateIds.X64TscKhz] = new Layout(StateIds.X64TscKhz).Add(4, "tsc_khz").Fields,
            [StateIds.X64TscOffset] = new Layout(StateIds.X64TscOffset).Add(8, "tsc_offset").Fields,
            [StateIds.X64Clock] = new Layout(StateIds.X64Clock).Add(8, "clock").Add(4, "clock.flags").Skip(4).Add(8, "clock.realtime", "clock.host_tsc").Fields,
            [StateIds.X64Pit2] = Pit(),
            [StateIds.X64VcpuEvents] = Events(),
            [StateIds.X64Xsave] = Xsave(),
            [StateIds.X64Lapic] = Lapic(),
        };
        return groups.ToFrozenDictionary();
    }

    // struct kvm_segment × 8, struct kvm_dtable × 2, control registers: the beginning of kvm_sregs and kvm_sregs2 alike.
    private static Layout SpecialRegisters(ulong id)
    {
        var layout = new Layout(id);
        foreach (var segment in (ReadOnlySpan<string>)["cs", "ds", "es", "fs", "gs", "ss", "tr", "ldt"])
        {
            layout.Add(8, segment + ".base").Add(4, segment + ".limit").Add(2, segment + ".selector");
            foreach (var bits in (ReadOnlySpan<string>)["type", "present", "dpl", "db", "s", "l", "g", "avl", "unusable"])
                layout.Add(1, $"{segment}.{bits}");
            layout.Skip(1);
        }

        foreach (var table in (ReadOnlySpan<string>)["gdt", "idt"])
            layout.Add(8, table + ".base").Add(2, table + ".limit").Skip(6);
        return layout.Add(8, "cr0", "cr2", "cr3", "cr4", "cr8", "efer", "apic_base");
    }

    // struct kvm_pit_state2: three channels, then the flags.
    private static RegisterField[] Pit()
    {
        var layout = new Layout(StateIds.X64Pit2);
        for (var i = 0; i < 3; i++)
        {
            var channel = Numbered("pit", i);
            layout.Add(4, channel + ".count").Add(2, channel + ".latched_count");
            foreach (var bits in (ReadOnlySpan<string>)["count_latched", "status_latched", "status", "read_state", "write_state", "write_latch", "rw_mode", "mode", "bcd", "gate"])
                layout.Add(1, $"{channel}.{bits}");
            layout.Add(8, channel + ".count_load_time");
        }

        return layout.Add(4, "pit.flags").Fields;
    }

    // struct kvm_vcpu_events.
    private static RegisterField[] Events() => new Layout(StateIds.X64VcpuEvents)
        .Add(1, "exception.injected", "exception.nr", "exception.has_error_code", "exception.pending")
        .Add(4, "exception.error_code")
        .Add(1, "interrupt.injected", "interrupt.nr", "interrupt.soft", "interrupt.shadow")
        .Add(1, "nmi.injected", "nmi.pending", "nmi.masked").Skip(1)
        .Add(4, "sipi_vector", "events.flags")
        .Add(1, "smi.smm", "smi.pending", "smi.smm_inside_nmi", "smi.latched_init", "triple_fault.pending").Skip(26)
        .Add(1, "exception_has_payload").Add(8, "exception_payload").Fields;

    // The legacy region and the header of an XSAVE area in the standard format (Intel SDM volume 1, 13.4). ymmN_hi is
    // component 2, at offset 576 on every processor.
    private static RegisterField[] Xsave()
    {
        var layout = new Layout(StateIds.X64Xsave)
            .Add(2, "fcw", "fsw", "ftw", "fop").Add(8, "fip", "fdp").Add(4, "mxcsr", "mxcsr_mask");
        for (var i = 0; i < 8; i++)
            layout.Add(10, Numbered("st", i)).Skip(6);
        for (var i = 0; i < 16; i++)
            layout.Add(16, Numbered("xmm", i));
        layout.Skip(512 - 416).Add(8, "xstate_bv", "xcomp_bv").Skip(48);
        for (var i = 0; i < 16; i++)
            layout.Add(16, Numbered("ymm", i) + "_hi");
        return layout.Fields;
    }

    // The local APIC's page: each register at a multiple of 16 (Intel SDM volume 3, table 12-1).
    private static RegisterField[] Lapic()
    {
        (int Offset, string Name)[] registers =
        [
            (0x20, "id"), (0x30, "version"), (0x80, "tpr"), (0x90, "apr"), (0xa0, "ppr"), (0xd0, "ldr"), (0xe0, "dfr"), (0xf0, "svr"),
            (0x280, "esr"), (0x2f0, "lvt_cmci"), (0x300, "icr_low"), (0x310, "icr_high"), (0x320, "lvt_timer"), (0x330, "lvt_thermal"),
            (0x340, "lvt_pmc"), (0x350, "lvt_lint0"), (0x360, "lvt_lint1"), (0x370, "lvt_error"), (0x380, "tmict"), (0x390, "tmcct"),
            (0x3e0, "tdcr"),
        ];
        var fields = registers.Select(r => new RegisterField("lapic." + r.Name, StateIds.X64Lapic, r.Offset, 4)).ToList();
        foreach (var (name, offset) in (ReadOnlySpan<(string, int)>)[("isr", 0x100), ("tmr", 0x180), ("irr", 0x200)])
        {
            for (var i = 0; i < 8; i++)
                fields.Add(new RegisterField(Numbered("lapic." + name, i), StateIds.X64Lapic, offset + (16 * i), 4));
        }

        return [.. fields.OrderBy(field => field.Offset)];
    }

    private static string Numbered(string name, int number) => name + number.ToString(CultureInfo.InvariantCulture);

    private sealed class Layout(ulong id)
    {
        private readonly List<RegisterField> _fields = [];
        private int _offset;

        public RegisterField[] Fields => [.. _fields];

        public Layout Add(int size, params ReadOnlySpan<string> names)
        {
            foreach (var name in names)
            {
                _fields.Add(new RegisterField(name, id, _offset, size));
                _offset += size;
            }

            return this;
        }

        public Layout Skip(int bytes)
        {
            _offset += bytes;
            return this;
        }
    }
}
