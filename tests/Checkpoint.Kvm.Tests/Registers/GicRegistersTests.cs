using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class GicRegistersTests
{
    [Theory]
    [InlineData("gicd_ctlr", GicPart.Distributor, 0, 0u)]
    [InlineData("gicd_iidr", GicPart.Distributor, 0, 8u)]
    [InlineData("gicd_isenabler1", GicPart.Distributor, 0, 0x104u)]
    [InlineData("gicd_ipriorityr9", GicPart.Distributor, 0, 0x424u)]
    [InlineData("gicd_icfgr2", GicPart.Distributor, 0, 0xc08u)]
    [InlineData("gicd_irouter32", GicPart.Distributor, 0, 0x6100u)]
    [InlineData("gicd_irouter32.hi", GicPart.Distributor, 0, 0x6104u)]
    [InlineData("gicd_level64", GicPart.Level, 0, 64u)]
    [InlineData("gicr0.isenabler0", GicPart.Redistributor, 0, 0x1_0100u)]
    [InlineData("gicr511.typer.hi", GicPart.Redistributor, 511, 0xcu)]
    [InlineData("gicr3.level0", GicPart.Level, 3, 0u)]
    [InlineData("gicc2.icc_pmr_el1", GicPart.CpuInterface, 2, 0xc230u)]
    [InlineData("gicc0.icc_ap1r0_el1", GicPart.CpuInterface, 0, 0xc648u)]
    [InlineData("gicd[0x1234]", GicPart.Distributor, 0, 0x1234u)]
    [InlineData("gicr1[0x1f000]", GicPart.Redistributor, 1, 0x1_f000u)]
    public void A_name_and_an_id_are_each_others(string name, GicPart part, int vcpu, uint offset)
    {
        var id = new GicRegister(part, vcpu, offset).Id;
        Assert.Equal(name, RegisterNames.NameOf(id));
        Assert.True(RegisterNames.TryParse(name.ToUpperInvariant(), out var parsed));
        Assert.Equal(id, parsed);
        Assert.True(GicRegister.TryOf(id, out var register));
        Assert.Equal(new GicRegister(part, vcpu, offset), register);
        var kind = new RegisterId(id);
        Assert.Equal((RegisterKind.Gic, MachineArchitecture.Arm64, part == GicPart.CpuInterface ? 8 : 4), (kind.Kind, kind.Architecture, kind.SizeBytes));
    }

    [Theory]
    [InlineData("gicd_nothing")]
    [InlineData("gicd_level0")]
    [InlineData("gicr.ctlr")]
    [InlineData("gicr0")]
    [InlineData("gicr0.nothing")]
    [InlineData("gicc0.nothing")]
    [InlineData("gicr9999999.ctlr")]
    [InlineData("gicd[0x100000]")]
    public void What_is_no_register_of_a_gic_has_no_id(string name) => Assert.False(RegisterNames.TryParse(name, out _));
}
