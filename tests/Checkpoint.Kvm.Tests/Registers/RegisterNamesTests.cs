using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class RegisterNamesTests
{
    private static readonly int[] s_sizes = [0, 2, 3, 4, 5, 6, 8, 15];

    [Theory]
    [InlineData("TCR_EL1", 0x603000000013c102)]
    [InlineData("MIDR_EL1", 0x603000000013c000)]
    [InlineData("CTR_EL0", 0x603000000013d801)]
    [InlineData("DBGBVR0_EL1", 0x6030000000138004)]
    [InlineData("DBGWCR15_EL1", 0x603000000013807f)]
    [InlineData("PMEVCNTR9_EL0", 0x603000000013df49)]
    [InlineData("CNTVCT_EL0", 0x603000000013df1a)] // KVM_REG_ARM_TIMER_CNT, which has CNTV_CVAL_EL0's encoding.
    [InlineData("CNTV_CVAL_EL0", 0x603000000013df02)] // KVM_REG_ARM_TIMER_CVAL, which has CNTVCT_EL0's.
    [InlineData("CNTPCT_EL0", 0x603000000013df01)]
    [InlineData("x0", 0x6030000000100000)]
    [InlineData("x30", 0x603000000010003c)]
    [InlineData("sp", 0x603000000010003e)]
    [InlineData("pc", 0x6030000000100040)]
    [InlineData("pstate", 0x6030000000100042)]
    [InlineData("sp_el1", 0x6030000000100044)]
    [InlineData("elr_el1", 0x6030000000100046)]
    [InlineData("spsr_el1", 0x6030000000100048)]
    [InlineData("spsr_fiq", 0x6030000000100050)]
    [InlineData("v0", 0x6040000000100054)]
    [InlineData("v31", 0x60400000001000d0)]
    [InlineData("fpsr", 0x60200000001000d4)]
    [InlineData("fpcr", 0x60200000001000d5)]
    [InlineData("ccsidr[2]", 0x6020000000110002)]
    [InlineData("fw.psci_version", 0x6030000000140000)]
    [InlineData("fw.smccc_workaround_1", 0x6030000000140001)]
    [InlineData("fw.std_bmap", 0x6030000000160000)]
    [InlineData("fw.vendor_hyp_bmap_2", 0x6030000000160003)]
    [InlineData("z3", 0x6080000000150060)]
    [InlineData("z31[1]", 0x60800000001503e1)]
    [InlineData("p1", 0x6050000000150420)]
    [InlineData("ffr", 0x6050000000150600)]
    [InlineData("sve_vls", 0x606000000015ffff)]
    [InlineData("s3_0_c1_c0_7", 0x603000000013c087)]
    [InlineData("arm64.core[0x55]:4", 0x6020000000100055)]
    [InlineData("arm64.0x17[0x1]:8", 0x6030000000170001)]
    [InlineData("IA32_TSC_DEADLINE", 0x20300002000006e0)]
    [InlineData("MSR 0x1234", 0x2030000200001234)]
    [InlineData("guest_ssp", 0x2030000300000000)]
    [InlineData("x86.kvm[0x1]:8", 0x2030000300000001)]
    [InlineData("LAPIC", StateIds.X64Lapic)]
    [InlineData("ARM_MP_STATE", Arm64StateIds.MpState)]
    [InlineData("0x8030000000000001", 0x8030000000000001)]
    public void A_name_and_an_id_tell_of_each_other(string name, ulong id)
    {
        Assert.Equal(name, RegisterNames.NameOf(id));
        Assert.True(RegisterNames.TryParse(name, out var parsed));
        Assert.Equal(id, parsed);
        Assert.True(RegisterNames.TryParse(name.ToLowerInvariant(), out parsed));
        Assert.Equal(id, parsed);
    }

    [Fact]
    public void Every_id_of_the_lists_comes_back_from_its_name_and_no_two_share_one()
    {
        var ids = KnownIds().ToList();
        Assert.Equal(ids.Count, ids.Distinct().Count());
        Assert.Equal(ids.Count, ids.Select(RegisterNames.NameOf).Distinct(StringComparer.OrdinalIgnoreCase).Count());
        Assert.All(ids, AssertComesBack);
    }

    [Fact]
    public void Every_unnamed_system_register_comes_back_from_its_operands()
    {
        for (var operands = 0ul; operands <= 0xffff; operands++)
            AssertComesBack(Arm64SystemRegisters.IdBase | operands);
    }

    [Fact]
    public void Any_id_at_all_has_a_name_that_reads_back()
    {
        var random = new Random(20);
        ulong[] architectures = [0x20, 0x60, 0x60, 0xf2, 0x80, 0];
        for (var i = 0; i < 20_000; i++)
        {
            var id = (ulong)random.NextInt64(long.MinValue, long.MaxValue);
            if (i % 4 != 0)
            {
                // Ids near to real ones: few bits of the middle set, a usual size.
                id = (architectures[random.Next(architectures.Length)] << 56) | ((ulong)s_sizes[random.Next(s_sizes.Length)] << 52)
                    | ((ulong)random.Next(0, 5) << 32) | ((ulong)random.Next(0x0f, 0x18) << 16) | (id & 0xffff);
            }

            AssertComesBack(id);
        }
    }

    [Fact]
    public void What_is_no_name_is_refused_without_an_error()
    {
        string[] wrong =
        [
            "", "TCR_EL9", "z3[", "z3[]", "z3[32]", "z32", "x31", "p1[40]", "pc[0]", "ccsidr[", "ccsidr[256]", "s3_0_c1_c0", "s4_0_c1_c0_7", "s3_0_c16_c0_7",
            "s3_0_c1_c0_8", "s-1_0_c1_c0_7", "arm64.core[0x10000]:4", "arm64.core[55]:4", "arm64.core[0x55]:3", "arm64.core[0x55]", "arm64.core]:4[",
            "x86.msr[0x]:8", "MSR 1234", "MSR 0x", "MSR 0x123456789", "0x", "0xg", "0x12345678901234567", "[", "]:", "s", "_",
        ];
        Assert.All(wrong, name => Assert.False(RegisterNames.TryParse(name, out _), name));
    }

    [Theory]
    [InlineData("rip", StateIds.X64Regs, 128, 8)]
    [InlineData("cs.base", StateIds.X64Sregs2, 0, 8)]
    [InlineData("lapic.tmict", StateIds.X64Lapic, 0x380, 4)]
    [InlineData("serror_esr", Arm64StateIds.VcpuEvents, 8, 8)]
    public void A_register_inside_a_group_is_found_by_its_name(string name, ulong id, int offset, int size)
    {
        Assert.True(RegisterNames.TryParseField(name, out var field));
        Assert.Equal(new RegisterField(name, id, offset, size), field);
        Assert.True(RegisterNames.TryParse(name, out var item));
        Assert.Equal(id, item);
        Assert.Equal(name, RegisterNames.NameAt(id, offset + size - 1));
        Assert.Contains(field, RegisterNames.FieldsOf(id, 4096));
    }

    [Fact]
    public void A_message_shows_name_and_id_and_an_id_without_a_name_once()
    {
        Assert.Equal("TCR_EL1 (0x603000000013c102)", RegisterNames.Describe(0x603000000013c102));
        Assert.Equal("0x8030000000000001", RegisterNames.Describe(0x8030000000000001));
    }

    internal static IEnumerable<ulong> KnownIds() =>
        Arm64SystemRegisters.All.Select(each => each.Id)
            .Concat(Arm64Registers.CoreRegisters.Select(each => each.Id))
            .Concat(Arm64Registers.FirmwareRegisters.Select(each => each.Id))
            .Concat(Arm64Registers.FirmwareBitmaps.Select(each => each.Id))
            .Concat(Arm64Registers.SveRegisters.Select(each => each.Id))
            .Concat(Enumerable.Range(0, 14).Select(Arm64Registers.CacheSize))
            .Concat(X64MsrNames.Named().Select(StateIds.X64Msr))
            .Concat(X64Fields.Groups)
            .Concat([Arm64StateIds.MpState, Arm64StateIds.VcpuEvents]);

    private static void AssertComesBack(ulong id)
    {
        var name = RegisterNames.NameOf(id);
        Assert.True(RegisterNames.TryParse(name, out var parsed) && parsed == id, $"0x{id:x16} is named {name}, which reads as 0x{parsed:x16}");
    }
}
