namespace Checkpoint.Cli.Tests.Commands;

public class FullDiskTests
{
    [Fact]
    public async Task A_run_that_keeps_few_makes_room_on_a_full_disk_and_goes_on()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 4, "--machine", "sim");
        var faults = Write(sandbox, """{ "call": "pwrite", "at": 1, "fail": "ENOSPC" }""");
        var answer = await sandbox.RunAsync("run", "--from", "a@latest", "--keep", "2", "--every", "20ms", "--checkpoints", "1", "--json", "--faults", faults);
        Assert.Equal(0, answer.ExitCode);
        Assert.Equal([1, 2], answer.Event("aborted").GetProperty("pruned").EnumerateArray().Select(number => number.GetInt32()));
        Assert.Equal([3], answer.Event("committed").GetProperty("pruned").EnumerateArray().Select(number => number.GetInt32()));
        var listed = await sandbox.RunAsync("list", "--vm", "a", "--json");
        Assert.Equal([4, 5], listed.Json.Select(line => line.GetProperty("checkpoint").GetInt32()));
        await using var store = sandbox.OpenStore();
        Assert.Equal([4, 5], await store.Journal.ListStateDocumentsAsync("a"));
        Assert.Equal(2, store.Segments.List("a").Count);
    }

    [Fact]
    public async Task A_disk_without_room_for_a_single_event_is_told_in_words_with_what_to_do()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "sim");
        var faults = Write(sandbox, """{ "call": "journal.append", "fail": "ENOSPC" }""");
        foreach (var name in (string[])["a", "b"])
        {
            var answer = await sandbox.RunAsync("run", "--from", "a@1", "--vm", name, "--keep", "2", "--for", "1s", "--json", "--faults", faults);
            answer.Fails(1, $"'{name}'", "No space left on device", "--keep");
            Assert.DoesNotContain("{", answer.OneLine, StringComparison.Ordinal);
        }
    }

    private static string Write(Sandbox sandbox, string fault)
    {
        var path = Path.Combine(sandbox.Folder, "faults.json");
        File.WriteAllText(path, "{ \"faults\": [ " + fault + " ] }");
        return path;
    }
}
