using Checkpoint.Protocol.Faults;

namespace Checkpoint.Protocol.Tests.Faults;

public sealed class FaultFileTests
{
    [Fact]
    public void A_file_says_what_goes_wrong_when()
    {
        var plan = FaultFile.Parse(
            """
            {
              // comments and trailing commas are allowed
              "seed": 7,
              "faults": [
                { "call": "KVM_SET_MANY_REGS", "vcpu": 2, "at": 3, "fail": "EINVAL", "after-registers": 41 },
                { "call": "fsync", "from": 4, "times": 2, "fail": "EIO" },
                { "call": "KVM_*", "probability": 0.25, "delay": "1.5s", "phase": "Capturing" },
                { "call": "KVM_RUN", "at": 1, "exit": "triple-fault" },
                { "call": "vcpu.park", "vcpu": 0, "from": 9, "hang": true },
                { "call": "journal.append", "at": 5, "end": "lost-after-commit" },
                { "call": "KVM_GET_REGS", "at": 5, "lose-machine": "ENODEV" },
                { "call": "KVM_GET_REGS", "at": 6, "die": true },
              ],
            }
            """,
            "f.json");
        Assert.Equal(7UL, plan.Seed);
        Assert.Equal(
            [
                (new FaultWhen("KVM_SET_MANY_REGS", 2, 3, 1), new FaultAction.Fail(22, 41)),
                (new FaultWhen("fsync", null, 4, 2), new FaultAction.Fail(5)),
                (new FaultWhen("KVM_*", Probability: 0.25, Phase: "Capturing"), new FaultAction.Delay(TimeSpan.FromSeconds(1.5))),
                (new FaultWhen("KVM_RUN", null, 1, 1), new FaultAction.Exit(FaultExit.TripleFault)),
                (new FaultWhen("vcpu.park", 0, 9), new FaultAction.Hang()),
                (new FaultWhen("journal.append", null, 5, 1), new FaultAction.Unknown(true, "the connection was lost before the commit was answered")),
                (new FaultWhen("KVM_GET_REGS", null, 5, 1), new FaultAction.LoseMachine(19)),
                (new FaultWhen("KVM_GET_REGS", null, 6, 1), (FaultAction)new FaultAction.Die()),
            ],
            plan.Rules.Select(rule => (rule.When, rule.Action)));
    }

    [Theory]
    [InlineData("[]", 1, 1, "write an object")]
    [InlineData("{ }", 1, 1, "there is no list of faults")]
    [InlineData("{\n \"fault\": [] }", 2, 2, "'fault' means nothing here")]
    [InlineData("{ \"faults\": [ { \"call\": \"KVM_RUN\" \"at\": 1 } ] }", 1, 35, "this is not JSON")]
    [InlineData("{ \"faults\": [\n  { \"call\": \"KVM_SET_MANY_REG\", \"fail\": \"EIO\" } ] }", 2, 13, "the nearest are KVM_SET_MANY_REGS, ")]
    [InlineData("{ \"faults\": [\n\n  { \"call\": \"KVM_RUN\", \"fail\": \"EINVA\" } ] }", 3, 32, "there is no error number 'EINVA'; the nearest are EINVAL, ")]
    [InlineData("{ \"faults\": [ { \"call\": \"KVM_RUN\" } ] }", 1, 15, "nothing goes wrong here")]
    [InlineData("{ \"faults\": [ { \"call\": \"KVM_RUN\", \"die\": true, \"hang\": true } ] }", 1, 15, "two things go wrong here")]
    [InlineData("{ \"faults\": [ { \"fail\": \"EIO\" } ] }", 1, 15, "the call is missing")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"exit\": \"triple-fault\" } ] }", 1, 42, "'triple-fault' cannot happen at fsync")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"delay\": \"soon\" } ] }", 1, 43, "'soon' is no duration")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"at\": 0, \"fail\": \"EIO\" } ] }", 1, 40, "'at' counts from 1")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"times\": 2, \"fail\": \"EIO\" } ] }", 1, 43, "times says at how many calls")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"at\": 1, \"at\": 2, \"fail\": \"EIO\" } ] }", 1, 43, "'at' stands here twice")]
    [InlineData("{ \"seed\": 1, \"seed\": 2, \"faults\": [] }", 1, 14, "'seed' stands here twice")]
    [InlineData("{ \"faults\": [], \"faults\": [] }", 1, 17, "'faults' stands here twice")]
    [InlineData("{ \"faults\": [] }\n{ \"faults\": [] }", 2, 1, "this is not JSON")]
    [InlineData("{ \"faults\": [] } more", 1, 18, "this is not JSON")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"phase\": \"Storeing\", \"fail\": \"EIO\" } ] }", 1, 43, "there is no phase 'Storeing'; write one of Idle, Preparing, ")]
    [InlineData("{ \"faults\": [ { \"call\": \"pwrite\", \"vcpu\": 0, \"fail\": \"EIO\" } ] }", 1, 43, "pwrite is no call of a vCPU; leave the vCPU out")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"at\": 3000000000, \"fail\": \"EIO\" } ] }", 1, 40, "'at' is a whole number up to 2147483647")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"delay\": \"0.00001ms\" } ] }", 1, 43, "is no duration")]
    [InlineData("{ \"faults\": [ { \"call\": \"fsync\", \"end\": \"refused\" } ] }", 1, 41, "'refuse' cannot happen at fsync; it can at journal.append")]
    [InlineData("{ \"faults\": null }", 1, 13, "here is true, false or null; write a list")]
    [InlineData("{ \"faults\": [\n { \"call\": \"\\ud800\" } ] }", 2, 12, "half a character")]
    [InlineData("{ \"faults\": [ { \"call\": \"\\u001b[31m\", \"fail\": \"EIO\" } ] }", 1, 25, "there is no call '?[31m'")]
    public void A_file_that_is_none_is_refused_with_line_column_and_what_to_write(string json, int line, int column, string what)
    {
        var failure = Assert.Throws<FaultFileException>(() => FaultFile.Parse(json, "f.json"));
        Assert.Equal((line, column), (failure.Line, failure.Column));
        Assert.StartsWith($"f.json: line {line}, column {column}: ", failure.Message, StringComparison.Ordinal);
        Assert.Contains(what, failure.Message, StringComparison.Ordinal);
    }
}
