using System.Globalization;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class X64MsrNamesTests
{
    [Theory]
    [InlineData(0x10, "IA32_TSC")]
    [InlineData(0xc1, "IA32_PERFCTR0")]
    [InlineData(0xc8, "IA32_PERFCTR7")]
    [InlineData(0x186, "IA32_PERFEVTSEL0")]
    [InlineData(0x18d, "IA32_PERFEVTSEL7")]
    [InlineData(0x200, "IA32_MTRR_PHYSBASE0")]
    [InlineData(0x201, "IA32_MTRR_PHYSMASK0")]
    [InlineData(0x20f, "IA32_MTRR_PHYSMASK7")]
    [InlineData(0x268, "IA32_MTRR_FIX4K_C0000")]
    [InlineData(0x26f, "IA32_MTRR_FIX4K_F8000")]
    [InlineData(0x309, "IA32_FIXED_CTR0")]
    [InlineData(0x400, "IA32_MC0_CTL")]
    [InlineData(0x407, "IA32_MC1_MISC")]
    [InlineData(0x4c1, "IA32_A_PMC0")]
    [InlineData(0xc001_0003, "K7_EVNTSEL3")]
    [InlineData(0xc001_0201, "F15H_PERF_CTR0")]
    [InlineData(0xc001_0202, "F15H_PERF_CTL1")]
    [InlineData(0x4b56_4d01, "KVM_SYSTEM_TIME_NEW")]
    [InlineData(0x1234_5678, "MSR 0x12345678")]
    public void An_msr_has_the_name_of_the_manuals_or_its_number(uint index, string name) => Assert.Equal(name, X64MsrNames.NameOf(index));

    [KvmFact]
    public void Every_msr_that_this_hosts_kernel_lists_has_a_name_of_its_own()
    {
        using var kvm = SystemHandle.Open();
        var listed = kvm.GetMsrIndexList();
        Assert.NotEmpty(listed);
        var names = listed.Distinct().Select(index => (Index: index, Name: X64MsrNames.NameOf(index))).ToList();
        foreach (var (index, name) in names)
        {
            if (name.StartsWith("MSR ", StringComparison.Ordinal))
                Assert.Equal("MSR 0x" + index.ToString("x", CultureInfo.InvariantCulture), name);
            else
                Assert.Matches("^[A-Z][A-Z0-9_]+$", name);
        }

        Assert.Equal(names.Count, names.Select(each => each.Name).Distinct().Count());
    }
}
