namespace Checkpoint.Cli.Tests.Commands;

public class DamageTests
{
    [KvmFact]
    public async Task A_damaged_state_document_is_an_integrity_failure_and_hides_no_other_checkpoint()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 3);
        sandbox.Execute("UPDATE state_document SET document = zeroblob(length(document)) WHERE number = 3");

        foreach (var line in new[] { "restore a@latest", "restore a@3 --check", "show a@3", "run --from a@3 --for 1s" })
            (await sandbox.RunAsync(line.Split(' '))).Fails(3, "'a'", "checkpoint 3", "state document");
        await IsReportedAsync(sandbox, "state document");
        Assert.Equal(0, (await sandbox.RunAsync("restore", "a@2", "--run-for", "50ms")).ExitCode);
        Assert.Equal(0, (await sandbox.RunAsync("verify", "a@2")).ExitCode);
    }

    [KvmFact]
    public async Task A_damaged_segment_is_an_integrity_failure()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 3);
        var committed = await sandbox.EventOfAsync("a", 3);
        Flip(sandbox.SegmentPathOf(committed), 5000);

        foreach (var line in new[] { "restore a@latest", "run --from a@3 --for 1s" })
            (await sandbox.RunAsync(line.Split(' '))).Fails(3, "'a'", "checkpoint 3", committed.Segment!.Name);
        await IsReportedAsync(sandbox, $"segment {committed.Segment!.Name}");
    }

    [KvmFact]
    public async Task A_missing_segment_is_told_and_what_is_left_of_the_checkpoint_is_shown()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1);
        File.Delete(sandbox.SegmentPathOf(await sandbox.EventOfAsync("a", 1)));

        (await sandbox.RunAsync("restore", "a@1")).Fails(3, "missing");
        var shown = await sandbox.RunAsync("show", "a@1", "--json", "--registers");
        shown.Fails(3, "missing");
        Assert.Equal(1, shown.Event("show").GetProperty("checkpoint").GetInt64());
    }

    [KvmFact]
    public async Task A_missing_event_is_an_integrity_failure_of_its_machine_alone()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 2);
        await sandbox.MakeCheckpointsAsync("b", 1);
        sandbox.Execute("DELETE FROM journal WHERE persistence_id = 'vm-a' AND sequence_number = 2");

        var list = await sandbox.RunAsync("list", "--json");
        list.Fails(3, "'a'", "journal");
        Assert.Equal(["a", "b"], list.Json.Select(line => line.GetProperty("vm").GetString()));
        (await sandbox.RunAsync("restore", "a@latest")).Fails(3, "journal");
        (await sandbox.RunAsync("verify")).Fails(3);
        Assert.Equal(0, (await sandbox.RunAsync("verify", "b@latest")).ExitCode);
    }

    private static async Task IsReportedAsync(Sandbox sandbox, string part)
    {
        var json = await sandbox.RunAsync("verify", "--json");
        json.Fails(3, "1");
        var report = json.Event("verified");
        Assert.Equal(3, report.GetProperty("checkpoints").GetInt64());
        Assert.Equal(3, report.GetProperty("segments").GetInt64());
        var damaged = Assert.Single(report.GetProperty("damaged").EnumerateArray());
        Assert.Equal(("a", 3L, part), (damaged.GetProperty("vm").GetString(), damaged.GetProperty("checkpoint").GetInt64(), damaged.GetProperty("part").GetString()));

        var text = await sandbox.RunAsync("verify");
        text.Fails(3);
        Assert.Single(text.Output.Split('\n'), line => line.StartsWith("a@3: " + part, StringComparison.Ordinal));
    }

    private static void Flip(string path, int offset)
    {
        var bytes = File.ReadAllBytes(path);
        bytes[offset] ^= 1;
        File.WriteAllBytes(path, bytes);
    }
}
