namespace Checkpoint.Cli.Tests.Commands;

public class PolicyTests
{
    [Fact]
    public async Task A_restore_goes_by_the_policy_that_was_named()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "sim");
        var policy = Write(sandbox, "*", "ignore");
        var restored = await sandbox.RunAsync("restore", "a@1", "--run-for", "20ms", "--json", "--policy", policy);
        Assert.Equal(0, restored.ExitCode);
        Assert.Equal("trial", restored.Event("restored").GetProperty("policy").GetString());
        var check = (await sandbox.RunAsync("restore", "a@1", "--check", "--json", "--policy", policy)).Event("check");
        Assert.Equal(("trial", true), (check.GetProperty("policy").GetString(), check.GetProperty("ok").GetBoolean()));
        var run = await sandbox.RunAsync("run", "--from", "a@1", "--policy", policy, "--every", "20ms", "--checkpoints", "1", "--json");
        Assert.Equal("trial", run.Event("started").GetProperty("policy").GetString());
        Assert.Equal("strict", (await sandbox.RunAsync("restore", "a@1", "--run-for", "20ms", "--json")).Event("restored").GetProperty("policy").GetString());
    }

    [Theory]
    [InlineData("nosuch", "ignore", "nosuch")]
    [InlineData("IA32_TSC", "forget", "forget")]
    public async Task A_file_that_is_no_policy_is_a_usage_error_of_one_line_that_says_where(string register, string action, string word)
    {
        using var sandbox = new Sandbox();
        var policy = Write(sandbox, register, action);
        (await sandbox.RunAsync("restore", "a@1", "--policy", policy)).Fails(2, policy, "rules[0]", word);
        (await sandbox.RunAsync("restore", "a@1", "--check", "--policy", policy)).Fails(2, policy);
        (await sandbox.RunAsync("run", "--from", "a@1", "--policy", policy)).Fails(2, policy);
    }

    [KvmFact]
    public async Task What_a_policy_lets_differ_is_named()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "kvm");
        var policy = Write(sandbox, "*", "ignore");
        var answer = await sandbox.RunAsync("restore", "a@1", "--run-for", "20ms", "--json", "--policy", policy);
        Assert.Equal(0, answer.ExitCode);
        var leniences = answer.Event("restored").GetProperty("leniences").EnumerateArray().Select(name => name.GetString()!).ToList();
        Assert.NotEmpty(leniences);
        Assert.StartsWith($"The policy 'trial' let differ: {leniences[0]}", answer.Error, StringComparison.Ordinal);
    }

    [KvmFact]
    public async Task Between_a_simulated_machine_and_one_of_KVM_every_register_that_differs_is_refused_or_let_differ()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("s", 1, "--machine", "sim", "--arch", "x64");
        var strict = await sandbox.RunAsync("restore", "s@1", "--machine", "kvm", "--run-for", "20ms", "--json");
        if (strict.ExitCode == 0)
            return; // This host is just like the simulated one.
        strict.Fails(1, "refused", "vCPU 0 ");
        var check = await sandbox.RunAsync("restore", "s@1", "--machine", "kvm", "--check", "--json");
        Assert.NotEmpty(check.Event("check").GetProperty("refused").EnumerateArray());
        var lenient = await sandbox.RunAsync("restore", "s@1", "--machine", "kvm", "--run-for", "20ms", "--json", "--policy", Write(sandbox, "*", "ignore"));
        Assert.NotEmpty(lenient.Event("restored").GetProperty("leniences").EnumerateArray());
    }

    private static string Write(Sandbox sandbox, string register, string action)
    {
        var path = Path.Combine(sandbox.Folder, "policy.json");
        File.WriteAllText(path, $$"""{ "name": "trial", "rules": [ { "register": "{{register}}", "action": "{{action}}", "why": "A trial." } ] }""");
        return path;
    }
}
