using System.Runtime.CompilerServices;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class RegisterPolicyTests
{
    [Fact]
    public void The_sample_in_config_is_the_strict_policy()
    {
        var path = Path.Combine(SourceFolder(), "..", "..", "..", "config", "register-policy.json");
        var policy = RegisterPolicyFile.Load(path);
        Assert.Equal(RegisterPolicy.Strict.Name, policy.Name);
        Assert.Equal(RegisterPolicy.Strict.Rules.ToArray(), policy.Rules.ToArray());
    }

    [Fact]
    public void The_first_rule_that_matches_counts_and_what_none_names_is_required()
    {
        var policy = RegisterPolicyFile.Parse(
            """
            {
              "name": "lenient", // A comment is allowed, and a comma too many.
              "rules": [
                { "register": "DBGBVR3_EL1", "action": "compare", "why": "One of them." },
                { "register": "DBG*_EL1", "action": "may-be-missing", "why": "Hosts differ in how many they have." },
                { "register": "LAPIC", "action": "ignore", "why": "The whole group." },
                { "register": "CNTV_CTL_EL0", "action": "ignore", "bits": "0x4", "why": "Goes on." },
              ]
            }
            """,
            "test");
        Assert.Equal(RegisterAction.Compare, policy.RuleFor("DBGBVR3_EL1", "DBGBVR3_EL1").Action);
        Assert.Equal(RegisterAction.MayBeMissing, policy.RuleFor("DBGBVR4_EL1", "DBGBVR4_EL1").Action);
        Assert.Equal(RegisterAction.Ignore, policy.RuleFor("lapic.tmict", "LAPIC").Action);
        Assert.Equal(4ul, policy.RuleFor("CNTV_CTL_EL0", "CNTV_CTL_EL0").Bits);
        Assert.Equal(RegisterAction.Require, policy.RuleFor("TCR_EL1", "TCR_EL1").Action);
        Assert.Equal(RegisterAction.Require, RegisterPolicy.Strict.RuleFor("CLOCK", "CLOCK").Action);
        Assert.Equal(RegisterAction.Ignore, RegisterPolicy.Strict.RuleFor("clock", "CLOCK").Action);
    }

    [Theory]
    [InlineData("*", "", true)]
    [InlineData("*", "TCR_EL1", true)]
    [InlineData("TCR_EL1", "TCR_EL1", true)]
    [InlineData("TCR_EL1", "TCR_EL12", false)]
    [InlineData("TCR_EL12", "TCR_EL1", false)]
    [InlineData("*_EL1", "TCR_EL1", true)]
    [InlineData("*_EL1", "TCR_EL12", false)]
    [InlineData("DBG*R*_EL1", "DBGBVR12_EL1", true)]
    [InlineData("a*b*c", "abcbd", false)]
    [InlineData("a*b*c", "axxbyybzc", true)]
    [InlineData("tcr_el1", "TCR_EL1", false)]
    public void A_star_stands_for_any_characters(string pattern, string name, bool matches) =>
        Assert.Equal(matches, new RegisterRule(pattern, RegisterAction.Ignore, "A test.").Matches(name));

    [Theory]
    [InlineData("{", "p.json: line 1, byte 2: this is not JSON; correct the text there")]
    [InlineData("[]", "p.json: the policy: here is a Array; write an object: { … }")]
    [InlineData("""{ "rules": [] }""", """p.json: name: a text is missing; write "name": "…"  """)]
    [InlineData("""{ "name": "x" }""", """p.json: rules: there is no list of rules; write "rules": [ … ]""")]
    [InlineData("""{ "name": "x", "rule": [] }""", "p.json: the policy: 'rule' means nothing here; write name, rules")]
    [InlineData("""{ "name": "x", "rules": [1] }""", "p.json: rules[0]: here is a Number; write an object: { … }")]
    [InlineData("""{ "name": "x", "rules": [{ "action": "ignore" }] }""", """p.json: rules[0].register: a text is missing; write "register": "…"  """)]
    [InlineData("""{ "name": "x", "rules": [{ "register": "TCR_EL9", "action": "ignore", "why": "w" }] }""", "p.json: rules[0].register: no register is called 'TCR_EL9'; write a name as a refusal shows it, or a pattern with *")]
    [InlineData("""{ "name": "x", "rules": [{ "register": "tcr_el1", "action": "ignore", "why": "w" }] }""", "p.json: rules[0].register: no register is called 'tcr_el1'; write 'TCR_EL1'")]
    [InlineData("""{ "name": "x", "rules": [{ "register": "RIP", "action": "ignore", "why": "w" }] }""", "p.json: rules[0].register: no register is called 'RIP'; write 'rip'")]
    [InlineData("""{ "name": "x", "rules": [{ "register": "rip", "action": "ignor", "why": "w" }] }""", "p.json: rules[0].action: there is no action 'ignor'; write require, compare, may-be-missing or ignore")]
    [InlineData("""{ "name": "x", "rules": [{ "register": "rip", "action": "ignore" }] }""", """p.json: rules[0].why: a text is missing; write "why": "…"  """)]
    [InlineData("""{ "name": "x", "rules": [{ "register": "rip", "action": "ignore", "bits": "4", "why": "w" }] }""", """p.json: rules[0].bits: '4' names no bits; write a hexadecimal number like "0x4"  """)]
    [InlineData("""{ "name": "x", "rules": [{ "register": "rip", "action": "require", "bits": "0x4", "why": "w" }] }""", "p.json: rules[0].bits: only the action ignore has bits; leave them out")]
    [InlineData("""{ "name": "x", "rules": [], "rules": [] }""", "p.json: the policy: 'rules' stands here twice; write it once")]
    [InlineData("""{ "name": "x\ny", "rules": [] }""", "p.json: name: the text holds control characters; leave them out")]
    [InlineData("""{ "name": "\ud800", "rules": [] }""", "p.json: a text holds half a character (such as \\ud800 alone); correct it")]
    [InlineData("""{ "name": "x", "rules": [{ "register": "XSAVE+0x18", "action": "ignore", "why": "w" }] }""", "p.json: rules[0].register: no register is called 'XSAVE+0x18'; write a name as a refusal shows it, or a pattern with *")]
    public void A_file_that_is_no_policy_is_told_in_one_line(string json, string message) =>
        Assert.Equal(message.TrimEnd(), Assert.Throws<RegisterPolicyException>(() => RegisterPolicyFile.Parse(json, "p.json")).Message);

    [Fact]
    public void A_byte_without_a_field_is_called_as_a_refusal_calls_it()
    {
        var name = RegisterNames.NameAt(Checkpoint.Protocol.State.StateIds.X64Lapic, 4);
        Assert.Equal("LAPIC+0x4", name);
        var policy = RegisterPolicyFile.Parse("""{ "name": "x", "rules": [{ "register": "LAPIC+0x4", "action": "ignore", "why": "w" }] }""", "p.json");
        Assert.Equal(name, Assert.Single(policy.Rules).Register);
    }

    [Theory]
    [InlineData("/dev/zero")]
    [InlineData("")]
    public void What_is_no_ordinary_file_is_refused_and_not_read(string path) =>
        Assert.Throws<RegisterPolicyException>(() => RegisterPolicyFile.Load(path));

    [Fact]
    public void A_file_that_is_not_there_is_told_by_its_path() =>
        Assert.StartsWith("nowhere.json: the register policy cannot be read:", Assert.Throws<RegisterPolicyException>(() => RegisterPolicyFile.Load("nowhere.json")).Message, StringComparison.Ordinal);

    private static string SourceFolder([CallerFilePath] string thisFile = "") => Path.GetDirectoryName(thisFile)!;
}
