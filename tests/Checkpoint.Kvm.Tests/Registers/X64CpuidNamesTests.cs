using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class X64CpuidNamesTests
{
    [Theory]
    [InlineData("cpuid.7.0.ebx.avx512f", 7, 0, X64CpuidRegister.Ebx, 16)]
    [InlineData("cpuid.1.ecx.vmx", 1, 0, X64CpuidRegister.Ecx, 5)]
    [InlineData("cpuid.1.ecx.hypervisor", 1, 0, X64CpuidRegister.Ecx, 31)]
    [InlineData("cpuid.1.edx.pbe", 1, 0, X64CpuidRegister.Edx, 31)]
    [InlineData("cpuid.7.0.ebx.avx512vl", 7, 0, X64CpuidRegister.Ebx, 31)]
    [InlineData("cpuid.7.0.ecx.pks", 7, 0, X64CpuidRegister.Ecx, 31)]
    [InlineData("cpuid.7.0.edx.ssbd", 7, 0, X64CpuidRegister.Edx, 31)]
    [InlineData("cpuid.7.1.eax.lam", 7, 1, X64CpuidRegister.Eax, 26)]
    [InlineData("cpuid.7.1.edx.apx_f", 7, 1, X64CpuidRegister.Edx, 21)]
    [InlineData("cpuid.7.2.edx.bhi_ctrl", 7, 2, X64CpuidRegister.Edx, 4)]
    [InlineData("cpuid.7.1.ebx.ppin", 7, 1, X64CpuidRegister.Ebx, 0)]
    [InlineData("cpuid.7.1.ecx.msr_imm", 7, 1, X64CpuidRegister.Ecx, 5)]
    [InlineData("cpuid.12.0.eax.edeccssa", 0x12, 0, X64CpuidRegister.Eax, 11)]
    [InlineData("cpuid.12.1.eax.aex_notify", 0x12, 1, X64CpuidRegister.Eax, 10)]
    [InlineData("cpuid.1e.1.eax.amx_movrs", 0x1e, 1, X64CpuidRegister.Eax, 8)]
    [InlineData("cpuid.24.0.ebx.avx10_256", 0x24, 0, X64CpuidRegister.Ebx, 17)]
    [InlineData("cpuid.d.0.eax.tiledata", 0xd, 0, X64CpuidRegister.Eax, 18)]
    [InlineData("cpuid.d.1.eax.xfd", 0xd, 1, X64CpuidRegister.Eax, 4)]
    [InlineData("cpuid.d.1.ecx.cet_s", 0xd, 1, X64CpuidRegister.Ecx, 12)]
    [InlineData("cpuid.14.0.ecx.lip", 0x14, 0, X64CpuidRegister.Ecx, 31)]
    [InlineData("cpuid.80000001.ecx.topoext", 0x8000_0001, 0, X64CpuidRegister.Ecx, 22)]
    [InlineData("cpuid.80000001.ecx.mwaitx", 0x8000_0001, 0, X64CpuidRegister.Ecx, 29)]
    [InlineData("cpuid.80000001.edx.nx", 0x8000_0001, 0, X64CpuidRegister.Edx, 20)]
    [InlineData("cpuid.80000001.edx.3dnow", 0x8000_0001, 0, X64CpuidRegister.Edx, 31)]
    [InlineData("cpuid.80000007.edx.invariant_tsc", 0x8000_0007, 0, X64CpuidRegister.Edx, 8)]
    [InlineData("cpuid.80000008.ebx.ssbd", 0x8000_0008, 0, X64CpuidRegister.Ebx, 24)]
    [InlineData("cpuid.80000008.ebx.ibpb_ret", 0x8000_0008, 0, X64CpuidRegister.Ebx, 30)]
    [InlineData("cpuid.8000000a.edx.vnmi", 0x8000_000a, 0, X64CpuidRegister.Edx, 25)]
    [InlineData("cpuid.80000021.eax.automatic_ibrs", 0x8000_0021, 0, X64CpuidRegister.Eax, 8)]
    [InlineData("cpuid.80000021.eax.srso_no", 0x8000_0021, 0, X64CpuidRegister.Eax, 29)]
    [InlineData("cpuid.40000001.eax.kvm_migration_control", 0x4000_0001, 0, X64CpuidRegister.Eax, 17)]
    [InlineData("cpuid.40000001.eax.kvm_clocksource_stable", 0x4000_0001, 0, X64CpuidRegister.Eax, 24)]
    [InlineData("cpuid.7.0.ecx.bit15", 7, 0, X64CpuidRegister.Ecx, 15)]
    [InlineData("cpuid.7.2.edx.bit31", 7, 2, X64CpuidRegister.Edx, 31)]
    public void A_feature_has_one_name(string name, uint leaf, uint index, X64CpuidRegister register, int bit)
    {
        var field = new X64CpuidField(leaf, index, register, bit);
        Assert.Equal(name, X64CpuidNames.NameOf(field));
        Assert.True(X64CpuidNames.TryParse(name.ToUpperInvariant(), out var parsed));
        Assert.Equal(field, parsed);
    }

    [Fact]
    public void Every_name_reads_back_to_its_bit()
    {
        var count = 0;
        foreach (var (leaf, index, register) in X64CpuidFeatures.Registers)
        {
            for (var bit = 0; bit < 32; bit++)
            {
                var field = new X64CpuidField(leaf, index, register, bit);
                if (!X64CpuidFeatures.IsFeature(field))
                    continue;
                count++;
                Assert.True(X64CpuidNames.TryParse(X64CpuidNames.NameOf(field), out var parsed));
                Assert.Equal(field, parsed);
            }
        }

        Assert.True(count > 700);
        Assert.All(X64CpuidNames.Limits, limit => Assert.True(X64CpuidNames.TryParse(X64CpuidNames.NameOf(limit), out var parsed) && parsed == limit));
    }

    [Fact]
    public void Bits_that_are_part_of_a_number_are_no_features()
    {
        // MAWAU.
        Assert.False(X64CpuidFeatures.IsFeature(new X64CpuidField(7, 0, X64CpuidRegister.Ecx, 17)));
        Assert.False(X64CpuidNames.TryParse("cpuid.7.0.ecx.bit17", out _));

        // The version of AVX10.
        Assert.False(X64CpuidNames.TryParse("cpuid.24.0.ebx.bit0", out _));
        Assert.True(X64CpuidNames.TryParse("cpuid.24.0.ebx.avx10_version", out _));
    }

    [Theory]
    [InlineData("cpuid.7.0.ebx.avx512f")]
    [InlineData("cpuid.7.0.ebx.avx512*")]
    [InlineData("cpuid.*")]
    [InlineData("CPUID")]
    [InlineData("cpuid.80000008.eax.physical_address_bits")]
    [InlineData("cpuid.7.0.ecx.bit15")]
    public void A_policy_can_name_features(string register)
    {
        var policy = RegisterPolicyFile.Parse($$"""{"name":"p","rules":[{"register":"{{register}}","action":"ignore","why":"A test."}]}""", "p.json");
        Assert.Equal(register, policy.Rules[0].Register);
    }

    [Theory]
    [InlineData("cpuid.7.0.ebx.avx1024")]
    [InlineData("cpuid.7.0.ebx.AVX512F")]
    [InlineData("cpuid.7.ebx.avx512f")]
    public void A_policy_cannot_name_what_is_none(string register) =>
        Assert.Contains(
            register,
            Assert.Throws<RegisterPolicyException>(() =>
                RegisterPolicyFile.Parse($$"""{"name":"p","rules":[{"register":"{{register}}","action":"ignore","why":"A test."}]}""", "p.json")).Message,
            StringComparison.Ordinal);
}
