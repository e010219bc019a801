using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Tests.Output;

public class LinesTests
{
    [Fact]
    public void A_line_has_its_event_first_snake_case_names_and_nulls_for_what_is_not_there()
    {
        var line = new AbortedLine("a", "vcpu 1 did not park", "vcpu 1", null, null, []);
        Assert.Equal(
            """{"event":"aborted","vm":"a","reason":"vcpu 1 did not park","participant":"vcpu 1","register":null,"errno":null,"pruned":[]}""" + "\n",
            JsonLine.Of(line, LineContext.Default.AbortedLine));
    }

    [Fact]
    public void A_refused_register_is_told_by_name_with_both_values()
    {
        var refusal = new RegisterRefusal(2, "IA32_EFER", StateIds.X64Msr(0xc0000080), new byte[] { 1, 0x0d, 0, 0 }, new byte[] { 1, 0, 0, 0 }, Errno.EINVAL);
        var check = new CheckLine("a", 12, 4, false, "kvm", "x64", "strict", [], [RefusedLine.Of(refusal)]);
        Assert.Equal(
            """{"event":"check","vm":"a","checkpoint":12,"vcpus":4,"ok":false,"machine":"kvm","arch":"x64","policy":"strict","leniences":[],"refused":[{"vcpu":2,"register":"IA32_EFER","wanted":"0x00000d01","found":"0x00000001","errno":22,"errno_name":"EINVAL","bits":[],"batch_written":null,"batch_size":null}]}""" + "\n",
            JsonLine.Of(check, LineContext.Default.CheckLine));
    }

    [Fact]
    public void A_register_is_a_number_with_the_most_significant_digit_first_and_a_structure_its_bytes()
    {
        Assert.Equal("0x0102030405060708", Hex.Of([8, 7, 6, 5, 4, 3, 2, 1]));
        Assert.Equal("0x", Hex.Of([]));
        Assert.Equal("01" + new string('0', 128), Hex.Of([1, .. new byte[64]]));
    }
}
