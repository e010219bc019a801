namespace Checkpoint.Cli.Tests.Commands;

public class DemoTests
{
    [KvmFact]
    public async Task The_demonstration_restores_what_a_killed_process_has_acknowledged_and_verifies_it()
    {
        using var sandbox = new Sandbox();
        var before = Leftovers();
        var answer = await sandbox.RunPlainAsync(["demo", "--for", "3s", "--every", "20ms", "--json"]);
        Assert.Equal(0, answer.ExitCode);
        var demo = answer.Json[^1];
        Assert.Equal(("demo", "kvm", true), (demo.GetProperty("event").GetString(), demo.GetProperty("machine").GetString(), demo.GetProperty("verified").GetBoolean()));
        Assert.InRange(demo.GetProperty("checkpoints").GetInt64(), 1, long.MaxValue);
        Assert.InRange(demo.GetProperty("restored").GetInt64(), demo.GetProperty("last_acknowledged").GetInt64(), long.MaxValue);
        Assert.InRange(demo.GetProperty("pause_us").GetProperty("p99").GetInt64(), demo.GetProperty("pause_us").GetProperty("p50").GetInt64(), demo.GetProperty("pause_us").GetProperty("max").GetInt64());
        Assert.Equal(before, Leftovers());
    }

    [KvmFact]
    public async Task An_interrupted_demonstration_leaves_nothing_behind()
    {
        using var sandbox = new Sandbox();
        var before = Leftovers();
        using var interruption = new CancellationTokenSource(TimeSpan.FromSeconds(1));
        (await sandbox.RunPlainAsync(["demo", "--for", "20s"], null, interruption.Token)).Fails(130, "interrupted");
        Assert.Equal(before, Leftovers());
    }

    private static IEnumerable<string> Leftovers() => Directory.EnumerateDirectories(Path.GetTempPath(), "checkpoint-demo-*").Order().ToList();
}
