using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class RegisterIdTests
{
    [Theory]
    [InlineData("TCR_EL1", MachineArchitecture.Arm64, RegisterKind.SystemRegister, 8)]
    [InlineData("v3", MachineArchitecture.Arm64, RegisterKind.Core, 16)]
    [InlineData("ccsidr[1]", MachineArchitecture.Arm64, RegisterKind.Demux, 4)]
    [InlineData("fw.psci_version", MachineArchitecture.Arm64, RegisterKind.Firmware, 8)]
    [InlineData("fw.std_bmap", MachineArchitecture.Arm64, RegisterKind.FirmwareBitmap, 8)]
    [InlineData("z0", MachineArchitecture.Arm64, RegisterKind.SveVector, 256)]
    [InlineData("p15", MachineArchitecture.Arm64, RegisterKind.SvePredicate, 32)]
    [InlineData("ffr", MachineArchitecture.Arm64, RegisterKind.SveFirstFault, 32)]
    [InlineData("sve_vls", MachineArchitecture.Arm64, RegisterKind.SveLengths, 64)]
    [InlineData("ARM_VCPU_EVENTS", MachineArchitecture.Arm64, RegisterKind.VcpuGroup, null)]
    [InlineData("IA32_EFER", MachineArchitecture.X64, RegisterKind.Msr, 8)]
    [InlineData("guest_ssp", MachineArchitecture.X64, RegisterKind.KvmOwn, 8)]
    [InlineData("XSAVE", MachineArchitecture.X64, RegisterKind.VcpuGroup, null)]
    [InlineData("PIT2", MachineArchitecture.X64, RegisterKind.VmGroup, null)]
    [InlineData("0x8030000000000001", null, RegisterKind.Unknown, 8)]
    public void An_id_says_what_it_is(string name, MachineArchitecture? architecture, RegisterKind kind, int? sizeBytes)
    {
        Assert.True(RegisterNames.TryParse(name, out var value));
        var id = new RegisterId(value);
        Assert.Equal((architecture, kind, sizeBytes), (id.Architecture, id.Kind, id.SizeBytes));
        Assert.Equal(name, id.ToString());
    }

    [Fact]
    public void A_system_registers_operands_are_those_it_was_made_of()
    {
        for (var i = 0; i <= 0xffff; i++)
        {
            var id = new RegisterId(Arm64SystemRegisters.IdBase | (uint)i);
            Assert.Equal(id.Value, Arm64SystemRegisters.IdOf(id.Op0, id.Op1, id.Crn, id.Crm, id.Op2));
        }
    }

    [Fact]
    public void An_sve_register_tells_its_number_and_slice()
    {
        Assert.Equal((31, 7), (new RegisterId(Arm64Registers.Z(31, 7)).SveNumber, new RegisterId(Arm64Registers.Z(31, 7)).SveSlice));
        Assert.Equal((15, 2), (new RegisterId(Arm64Registers.P(15, 2)).SveNumber, new RegisterId(Arm64Registers.P(15, 2)).SveSlice));
    }

    [Fact]
    public void An_id_with_bits_that_no_kernel_sets_is_unknown_and_shown_as_a_number()
    {
        Assert.Equal(RegisterKind.Unknown, new RegisterId(0x603000001013c102).Kind);
        Assert.Equal("0x603000001013c102", RegisterNames.NameOf(0x603000001013c102));
        Assert.Equal("0x2030010200000010", RegisterNames.NameOf(0x2030010200000010));
    }

    [Fact]
    public void A_plain_vcpu_of_linux_6_12_lists_259_registers()
    {
        // Measured in an emulated Neoverse N1: 259 plain, 333 with the PMU, 343 with pointer authentication, 362 with SVE.
        var others = Arm64Registers.CoreRegisters.Length + Arm64Registers.FirmwareRegisters.Length + 3 + 14;
        int Listed(params Arm64RegisterGroup[] groups) => others + Arm64SystemRegisters.Listed(groups).Count();
        Assert.Equal(259, Listed(Arm64RegisterGroup.Optional));
        Assert.Equal(333, Listed(Arm64RegisterGroup.Optional, Arm64RegisterGroup.Pmu));
        Assert.Equal(343, Listed(Arm64RegisterGroup.Optional, Arm64RegisterGroup.Pmu, Arm64RegisterGroup.PointerAuth));
        Assert.Equal(
            362,
            Listed(Arm64RegisterGroup.Optional, Arm64RegisterGroup.Pmu, Arm64RegisterGroup.PointerAuth, Arm64RegisterGroup.Sve)
                + Arm64Registers.SveRegisters.Length - 32);
    }
}
