using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

public sealed class StateComparisonTests
{
    private static readonly ulong s_tcr = Arm64SystemRegisters.IdOf("TCR_EL1");
    private static readonly ulong s_control = Arm64SystemRegisters.IdOf("CNTV_CTL_EL0");

    [Fact]
    public void Equal_lists_have_neither_refusals_nor_leniences()
    {
        var report = Compare(RegisterPolicy.Strict, [(s_tcr, [1, 0, 0, 0, 0, 0, 0, 0])], [(s_tcr, [1, 0, 0, 0, 0, 0, 0, 0])]);
        Assert.Empty(report.Refusals);
        Assert.Empty(report.Leniences);
    }

    [Fact]
    public void A_field_of_a_group_is_judged_by_its_own_name()
    {
        var wanted = new byte[1024];
        var found = new byte[1024];
        (found[0x390], found[0x380]) = (1, 2); // tmcct counts; tmict does not.
        var report = Compare(RegisterPolicy.Strict, [(StateIds.X64Lapic, wanted)], [(StateIds.X64Lapic, found)]);
        Assert.Equal(["lapic.tmict"], report.Refusals.Select(each => each.Register));
        Assert.Equal(["lapic.tmcct"], report.Leniences);
    }

    [Fact]
    public void A_processor_priority_follows_from_what_is_compared()
    {
        var wanted = new byte[1024];
        var found = new byte[1024];
        (wanted[0xa0], wanted[0x80], found[0x80]) = (0x40, 1, 2); // ppr of an interrupt that has ended; tpr
        var report = Compare(RegisterPolicy.Strict, [(StateIds.X64Lapic, wanted)], [(StateIds.X64Lapic, found)]);
        Assert.Equal(["lapic.tpr"], report.Refusals.Select(each => each.Register));
        Assert.Equal(["lapic.ppr"], report.Leniences);
    }

    [Theory]
    [InlineData(1, 5, true)]
    [InlineData(5, 1, true)]
    [InlineData(1, 4, false)]
    [InlineData(1, 0, false)]
    public void Of_a_register_with_bits_only_those_may_differ(byte wanted, byte found, bool isLet)
    {
        var report = Compare(RegisterPolicy.Strict, [(s_control, [wanted])], [(s_control, [found])]);
        Assert.Equal(isLet, report.Refusals.Count == 0);
        Assert.Equal(isLet ? ["CNTV_CTL_EL0"] : [], report.Leniences);
    }

    [Theory]
    [InlineData(RegisterAction.Require, true, true, true)]
    [InlineData(RegisterAction.Compare, true, true, false)]
    [InlineData(RegisterAction.MayBeMissing, true, false, false)]
    [InlineData(RegisterAction.Ignore, false, false, false)]
    public void An_action_says_what_is_refused(RegisterAction action, bool otherValue, bool missingHere, bool missingInTheCheckpoint)
    {
        var policy = new RegisterPolicy("test", [new RegisterRule("TCR_EL1", action, "A test.")]);
        Assert.Equal(otherValue, Compare(policy, [(s_tcr, [1])], [(s_tcr, [2])]).Refusals.Count == 1);
        Assert.Equal(missingHere, Compare(policy, [(s_tcr, [1])], []).Refusals.Count == 1);
        Assert.Equal(missingInTheCheckpoint, Compare(policy, [], [(s_tcr, [1])]).Refusals.Count == 1);
    }

    [Fact]
    public void What_was_refused_with_an_error_is_named_once_and_judged_too()
    {
        var refused = new RegisterRefusal(0, "TCR_EL1", s_tcr, new byte[] { 1 }, default, Errno.EINVAL);
        var report = Compare(RegisterPolicy.Strict, [(s_tcr, [1])], [(s_tcr, [2])], refused);
        Assert.Equal(Errno.EINVAL, Assert.Single(report.Refusals).Errno);

        var lenient = new RegisterPolicy("lenient", [new RegisterRule("T*", RegisterAction.Ignore, "A test.")]);
        report = Compare(lenient, [(s_tcr, [1])], [(s_tcr, [2])], refused);
        Assert.Empty(report.Refusals);
        Assert.Equal(["TCR_EL1"], report.Leniences);
    }

    [Fact]
    public void A_byte_that_no_field_covers_is_refused_by_its_place()
    {
        var found = new byte[64];
        found[20] = 1;
        var report = Compare(RegisterPolicy.Strict, [(Arm64StateIds.VcpuEvents, new byte[64])], [(Arm64StateIds.VcpuEvents, found)]);
        Assert.Equal("ARM_VCPU_EVENTS+0x14", Assert.Single(report.Refusals).Register);
    }

    [Fact]
    public void Every_stretch_of_bytes_without_a_field_is_judged_by_itself()
    {
        var found = new byte[64];
        (found[20], found[21], found[40], found[63]) = (1, 1, 1, 1);
        var policy = new RegisterPolicy("test", [new RegisterRule("ARM_VCPU_EVENTS+0x14", RegisterAction.Ignore, "A test.")]);
        var report = Compare(policy, [(Arm64StateIds.VcpuEvents, new byte[64])], [(Arm64StateIds.VcpuEvents, found)]);
        Assert.Equal(["ARM_VCPU_EVENTS+0x14"], report.Leniences);
        Assert.Equal(["ARM_VCPU_EVENTS+0x28", "ARM_VCPU_EVENTS+0x3f"], report.Refusals.Select(each => each.Register));
    }

    [Fact]
    public void The_strict_policy_lets_a_counter_differ_but_not_be_missing_or_refused()
    {
        foreach (var name in (string[])["IA32_TSC", "CNTVCT_EL0"])
        {
            Assert.True(RegisterNames.TryParse(name, out var id));
            Assert.Empty(Compare(RegisterPolicy.Strict, [(id, new byte[8])], [(id, [1, 2, 3, 4, 5, 6, 7, 8])]).Refusals);
            Assert.Single(Compare(RegisterPolicy.Strict, [(id, new byte[8])], []).Refusals);
            Assert.Single(Compare(RegisterPolicy.Strict, [], [(id, new byte[8])]).Refusals);
            var refused = new RegisterRefusal(0, name, id, new byte[8], default, Errno.EINVAL);
            Assert.Single(Compare(RegisterPolicy.Strict, [(id, new byte[8])], [(id, new byte[8])], refused).Refusals);
        }
    }

    [Fact]
    public void A_checkpoint_from_before_the_counters_frequency_was_kept_is_taken_and_one_of_another_frequency_is_not()
    {
        Assert.Empty(Compare(RegisterPolicy.Strict, [], [(Arm64StateIds.CounterHz, new byte[8])]).Refusals);
        Assert.Single(Compare(RegisterPolicy.Strict, [(Arm64StateIds.CounterHz, [1, 0, 0, 0, 0, 0, 0, 0])], [(Arm64StateIds.CounterHz, new byte[8])]).Refusals);
    }

    [Fact]
    public void The_shape_is_what_is_there_and_how_large_not_its_values()
    {
        var comparison = new StateComparison(RegisterPolicy.Strict);
        comparison.AddShape(0, List((s_tcr, [1]), (s_control, [1, 2])), List((s_tcr, [2]), (s_control, [1])));
        Assert.Equal(["CNTV_CTL_EL0"], comparison.Report.Refusals.Select(each => each.Register));
    }

    private static RestoreReport Compare(
        RegisterPolicy policy, (ulong Id, byte[] Value)[] wanted, (ulong Id, byte[] Value)[] found, params RegisterRefusal[] refused)
    {
        var comparison = new StateComparison(policy);
        comparison.Add(0, List(wanted), List(found), refused);
        return comparison.Report;
    }

    private static StateList List(params (ulong Id, byte[] Value)[] items) => StateList.Create(items.Select(each => new StateItem(each.Id, each.Value)));
}
