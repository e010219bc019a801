namespace Checkpoint.Cli.Tests.Commands;

public class UsageTests
{
    [Theory]
    [InlineData("--vcpus", "0", "1 to 64")]
    [InlineData("--vcpus", "50000", "1 to 64")]
    [InlineData("--vcpus", "two", "1 to 64")]
    [InlineData("--memory", "4097", "multiple of 4096")]
    [InlineData("--memory", "0", "multiple of 4096")]
    [InlineData("--memory", "64MB", "MiB")]
    [InlineData("--memory", "4096", "needs")]
    [InlineData("--memory", "600GiB", "at most")]
    [InlineData("--every", "0ms", "1ms to 720h")]
    [InlineData("--every", "721h", "1ms to 720h")]
    [InlineData("--every", "10", "100ms")]
    [InlineData("--for", "721h", "1ms to 720h")]
    [InlineData("--max-pause", "48h", "1ms to 24h")]
    [InlineData("--max-pause", "1000h", "1ms to 24h")]
    [InlineData("--max-pause", "0.5ms", "1ms to 24h")]
    [InlineData("--mode", "some", "full or incremental")]
    [InlineData("--keep", "0", "from 1")]
    [InlineData("--checkpoints", "0", "from 1")]
    [InlineData("--guest", "windows", "ledger or counter")]
    [InlineData("--machine", "xen", "kvm")]
    [InlineData("--from", "a@0", "a number from 1")]
    [InlineData("--arch", "riscv", "x64 or arm64")]
    [InlineData("--batching", "fast", "many-regs")]
    [InlineData("--seed", "-1", "from 0")]
    public async Task A_value_that_is_not_possible_is_a_usage_error_that_names_the_option(string option, string value, string word)
    {
        using var sandbox = new Sandbox();
        (await sandbox.RunAsync("run", "--vm", "a", option, value)).Fails(2, option, word);
        Assert.False(File.Exists(sandbox.Database));
    }

    [Theory]
    [InlineData("")]
    [InlineData("nosuch")]
    [InlineData("run")]
    [InlineData("run --vm a/b")]
    [InlineData("run --vm a --for 1s --checkpoints 2")]
    [InlineData("run --vm a --from a@1 --vcpus 2")]
    [InlineData("run --vm a --from a@1 --seed 2")]
    [InlineData("run --vm a --policy p.json")]
    [InlineData("run --vm a --guest timer --machine sim")]
    [InlineData("run --vm a --guest timer --arch arm64")]
    [InlineData("demo --guest timer --machine sim")]
    [InlineData("restore a@1 --policy nosuch.json")]
    [InlineData("diff a@1")]
    [InlineData("diff a@1 b")]
    [InlineData("restore")]
    [InlineData("restore a")]
    [InlineData("restore a@1 b@2")]
    [InlineData("restore a@1 --nosuch")]
    [InlineData("list --vm")]
    [InlineData("show a@latest@")]
    public async Task What_makes_no_sense_is_a_usage_error_of_one_line(string line)
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(line.Split(' ', StringSplitOptions.RemoveEmptyEntries));
        answer.Fails(2);
        Assert.Empty(answer.Output);
    }

    [Theory]
    [InlineData("doctor")]
    [InlineData("demo")]
    [InlineData("run")]
    [InlineData("restore")]
    [InlineData("list")]
    [InlineData("show")]
    [InlineData("diff")]
    [InlineData("verify")]
    public async Task Every_command_has_help_with_an_example(string command)
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync([command, "--help"]);
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        Assert.Contains($"Example:\n  checkpoint {command}", answer.Output, StringComparison.Ordinal);
        Assert.Contains("--store", answer.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_program_s_help_explains_notations_and_exit_codes()
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(["--help"]);
        Assert.Equal(0, answer.ExitCode);
        Assert.Contains("VM@latest", answer.Output, StringComparison.Ordinal);
        Assert.Contains("130 interrupted", answer.Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_guest_larger_than_the_host_s_memory_is_refused_before_anything_is_opened()
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(
            ["run", "--vm", "a", "--memory", "64MiB", "--store", sandbox.StoreUri], around => around with { MemoryBytes = 100 << 20 });
        answer.Fails(1, "--memory", "64 MiB", "100 MiB");
        Assert.False(File.Exists(sandbox.Database));
    }
}
