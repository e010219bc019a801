using System.Globalization;
using System.Text.Json;

namespace Checkpoint.Cli.Tests.Commands;

public class RunAndRestoreTests
{
    private static readonly string[] s_fieldsOfCommitted =
    [
        "event", "vm", "checkpoint", "id", "parent", "mode", "pause_us", "park_us", "capture_us", "durable_us", "state_bytes", "memory_bytes", "dirty_pages", "batching",
    ];

    [KvmFact]
    public async Task A_run_tells_each_checkpoint_once_it_is_durable_and_ends_after_as_many_as_were_asked_for()
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.MakeCheckpointsAsync("a", 3);

        Assert.Equal(["started", "committed", "committed", "committed", "stopped"], answer.Json.Select(line => line.GetProperty("event").GetString()));
        var committed = answer.Json.Skip(1).Take(3).ToList();
        Assert.Equal([1, 2, 3], committed.Select(line => line.GetProperty("checkpoint").GetInt64()));
        foreach (var field in s_fieldsOfCommitted)
            Assert.All(committed, line => line.GetProperty(field));
        var stopped = answer.Event("stopped");
        Assert.True(stopped.GetProperty("verified").GetBoolean());
        Assert.Equal((3, 3, "checkpoints"), (stopped.GetProperty("checkpoints").GetInt64(), stopped.GetProperty("last_checkpoint").GetInt64(), stopped.GetProperty("reason").GetString()));
    }

    [KvmFact]
    public async Task A_pause_that_is_longer_than_it_was_to_be_is_told_and_counted()
    {
        using var sandbox = new Sandbox();
        // Each time a vCPU parks later than the whole pause may last.
        var faults = Path.Combine(sandbox.Folder, "faults.json");
        await File.WriteAllTextAsync(faults, "{ \"faults\": [ { \"call\": \"vcpu.park\", \"vcpu\": 0, \"delay\": \"3ms\" } ] }");
        string[] bound = ["--max-pause", "1ms", "--faults", faults];
        var bounded = await sandbox.MakeCheckpointsAsync("a", 3, bound);
        Assert.All(bounded.Json.Where(line => line.GetProperty("event").GetString() == "committed"), line => Assert.True(line.GetProperty("over_max_pause").GetBoolean()));
        Assert.Equal(3, bounded.Event("stopped").GetProperty("over_max_pause").GetInt64());

        var unbounded = await sandbox.MakeCheckpointsAsync("b", 1);
        Assert.Equal(JsonValueKind.Null, unbounded.Event("committed").GetProperty("over_max_pause").ValueKind);
        Assert.Equal(JsonValueKind.Null, unbounded.Event("stopped").GetProperty("over_max_pause").ValueKind);

        var told = await sandbox.RunAsync(["run", "--vm", "c", "--every", "20ms", "--checkpoints", "2", .. bound]);
        Assert.Contains(" longest, 2 over 1.00 ms.", told.Output, StringComparison.Ordinal);
    }

    [KvmFact]
    public async Task Increments_are_shown_compared_verified_and_restored_like_full_checkpoints()
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.MakeCheckpointsAsync("a", 4, "--mode", "incremental");
        var committed = run.Json.Where(line => line.GetProperty("event").GetString() == "committed").ToList();
        Assert.Equal(["full", "incremental", "incremental", "incremental"], committed.Select(line => line.GetProperty("mode").GetString()));
        Assert.All(committed.Skip(1), line => Assert.InRange(line.GetProperty("memory_bytes").GetInt64(), 4096, committed[0].GetProperty("memory_bytes").GetInt64() / 2));
        for (var number = 1; number <= 4; number++)
        {
            Assert.True((await sandbox.RunAsync("restore", $"a@{number}", "--run-for", "50ms", "--json")).Event("guest").GetProperty("verified").GetBoolean());
            Assert.True((await sandbox.RunAsync("show", $"a@{number}", "--json")).Json[0].GetProperty("guest").GetProperty("verified").GetBoolean());
        }

        Assert.Equal(0, (await sandbox.RunAsync("verify")).ExitCode);
        Assert.Equal(0, (await sandbox.RunAsync("diff", "a@1", "a@4", "--json")).ExitCode);
    }

    [KvmFact]
    public async Task Compressed_checkpoints_are_smaller_and_everything_else_of_them_is_the_same()
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.MakeCheckpointsAsync("a", 4, "--mode", "incremental", "--compress", "--guest", "counter");
        Assert.Equal((true, "incremental"), (run.Event("started").GetProperty("compress").GetBoolean(), run.Event("started").GetProperty("mode").GetString()));
        var onward = await sandbox.RunAsync("run", "--from", "a@4", "--every", "20ms", "--checkpoints", "1", "--json");
        var compressed = run.Json.Single(line => line.TryGetProperty("checkpoint", out var number) && number.GetInt64() == 1).GetProperty("segment_bytes").GetInt64();
        Assert.InRange(compressed, 1, onward.Event("committed").GetProperty("segment_bytes").GetInt64() * 3 / 4);
        for (var number = 1; number <= 5; number++)
        {
            Assert.True((await sandbox.RunAsync("restore", $"a@{number}", "--run-for", "50ms", "--json")).Event("guest").GetProperty("verified").GetBoolean());
            var shown = (await sandbox.RunAsync("show", $"a@{number}", "--json")).Json[0];
            Assert.True(shown.GetProperty("guest").GetProperty("verified").GetBoolean());
            Assert.Equal(number < 5, shown.GetProperty("segment_compressed").GetBoolean());
        }

        Assert.Contains(" compressed, ", (await sandbox.RunAsync("show", "a@2")).Output, StringComparison.Ordinal);
        Assert.Equal(0, (await sandbox.RunAsync("verify")).ExitCode);
        Assert.Equal(0, (await sandbox.RunAsync("diff", "a@1", "a@5", "--json")).ExitCode);
    }

    [KvmFact]
    public async Task A_restored_guest_goes_on_exactly_from_the_last_checkpoint_and_from_an_earlier_one()
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.MakeCheckpointsAsync("a", 3);
        var second = run.Json.Single(line => line.TryGetProperty("checkpoint", out var number) && number.GetInt64() == 2).GetProperty("id").GetString()!;

        foreach (var (reference, number) in new[] { ("a@latest", 3), ("a@2", 2), (second[..8], 2) })
        {
            var answer = await sandbox.RunAsync("restore", reference, "--run-for", "100ms", "--json");
            Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
            var restored = answer.Event("restored");
            Assert.Equal(number, restored.GetProperty("checkpoint").GetInt64());
            Assert.InRange(restored.GetProperty("first_run_us").GetInt64(), restored.GetProperty("restore_us").GetInt64(), long.MaxValue);
            var guest = answer.Event("guest");
            Assert.True(guest.GetProperty("verified").GetBoolean());
            foreach (var (before, now) in guest.GetProperty("steps_at_checkpoint").EnumerateArray().Zip(guest.GetProperty("steps_now").EnumerateArray()))
                Assert.True(now.GetUInt64() > before.GetUInt64());
        }
    }

    [KvmFact]
    public async Task A_restored_timer_guest_goes_on_ticking()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 3, "--guest", "timer", "--vcpus", "2");
        var answer = await sandbox.RunAsync("restore", "a@latest", "--run-for", "100ms", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var guest = answer.Event("guest");
        Assert.Equal((true, "timer"), (guest.GetProperty("verified").GetBoolean(), guest.GetProperty("guest").GetString()));
        var ticks = guest.GetProperty("ticks_at_checkpoint").EnumerateArray().Zip(guest.GetProperty("ticks_now").EnumerateArray()).ToList();
        Assert.Equal(2, ticks.Count);
        Assert.All(ticks, each => Assert.True(each.Second.GetUInt64() > each.First.GetUInt64()));
    }

    [KvmFact]
    public async Task A_check_builds_the_machine_and_runs_nothing()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1);
        var answer = await sandbox.RunAsync("restore", "a@1", "--check", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var check = answer.Event("check");
        Assert.True(check.GetProperty("ok").GetBoolean());
        Assert.Empty(check.GetProperty("refused").EnumerateArray());
    }

    [KvmFact]
    public async Task A_machine_goes_on_under_its_own_name_with_the_restored_checkpoint_as_parent()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 3);
        var answer = await sandbox.RunAsync("run", "--from", "a@2", "--every", "20ms", "--checkpoints", "2", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var first = answer.Json[1];
        Assert.Equal(("a", 4, 2), (first.GetProperty("vm").GetString(), first.GetProperty("checkpoint").GetInt64(), first.GetProperty("parent").GetInt64()));
        Assert.True(answer.Event("stopped").GetProperty("verified").GetBoolean());
    }

    [KvmFact]
    public async Task A_machine_goes_on_under_a_new_name_from_number_1()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1);
        var answer = await sandbox.RunAsync("run", "--from", "a@1", "--vm", "b", "--every", "20ms", "--checkpoints", "1", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        Assert.Equal(("b", 1), (answer.Json[1].GetProperty("vm").GetString(), answer.Json[1].GetProperty("checkpoint").GetInt64()));
        Assert.Equal(0, (await sandbox.RunAsync("restore", "b@latest", "--run-for", "50ms")).ExitCode);
    }

    [KvmFact]
    public async Task Only_the_newest_checkpoints_are_kept()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 5, "--keep", "2");
        var list = await sandbox.RunAsync("list", "--vm", "a", "--json");
        Assert.Equal([4, 5], list.Json.Select(line => line.GetProperty("checkpoint").GetInt64()));
    }

    [KvmFact]
    public async Task An_interrupted_run_finishes_the_round_and_says_what_it_did()
    {
        using var sandbox = new Sandbox();
        using var interruption = new CancellationTokenSource(TimeSpan.FromMilliseconds(600));
        var answer = await sandbox.RunPlainAsync(["run", "--vm", "a", "--every", "10ms", "--json", "--store", sandbox.StoreUri], null, interruption.Token);
        Assert.Equal((130, ""), (answer.ExitCode, answer.Error));
        var stopped = answer.Event("stopped");
        Assert.Equal("interrupted", stopped.GetProperty("reason").GetString());
        Assert.Equal(answer.Json.Count(line => line.GetProperty("event").GetString() == "committed"), stopped.GetProperty("checkpoints").GetInt64());
        Assert.Equal(0, (await sandbox.RunAsync("verify")).ExitCode);
    }

    [KvmFact]
    public async Task The_registers_of_a_stored_counter_agree_with_its_stored_memory_within_one_step()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("c", 1, "--guest", "counter", "--vcpus", "2");
        var answer = await sandbox.RunAsync("show", "c@1", "--registers", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var guest = answer.Event("show").GetProperty("guest");
        Assert.True(guest.GetProperty("verified").GetBoolean());
        for (var vcpu = 0; vcpu < 2; vcpu++)
        {
            var registers = answer.Json.Single(line => line.GetProperty("event").GetString() == "registers" && line.GetProperty("vcpu") is { ValueKind: JsonValueKind.Number } at && at.GetInt32() == vcpu).GetProperty("registers");
            var step = guest.GetProperty("vcpus")[vcpu];
            Assert.InRange(Number(registers, "rip"), Number(guest, "loop_start"), Number(guest, "loop_end") - 1);
            var n = Number(registers, "rbp");
            Assert.Equal(n, step.GetProperty("n_register").GetUInt64());
            Assert.InRange(step.GetProperty("n_memory").GetUInt64(), n - 1, n);
            Assert.InRange(guest.GetProperty("steps")[vcpu].GetUInt64(), n - 1, n);
        }
    }

    [KvmFact]
    public async Task Tables_tell_what_json_tells()
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.RunAsync("run", "--vm", "c", "--guest", "counter", "--every", "20ms", "--checkpoints", "2");
        Assert.Contains("The guest is consistent.", run.Output, StringComparison.Ordinal);
        Assert.Contains("c@2", run.Output, StringComparison.Ordinal);
        Assert.Contains("8 MiB", (await sandbox.RunAsync("list")).Output, StringComparison.Ordinal);
        Assert.Contains("full", (await sandbox.RunAsync("list", "--vm", "c")).Output, StringComparison.Ordinal);
        var shown = (await sandbox.RunAsync("show", "c@2", "--registers")).Output;
        Assert.Contains("IA32_PAT", shown, StringComparison.Ordinal);
        Assert.Contains("rip ", shown, StringComparison.Ordinal);
        Assert.Contains("n in memory", shown, StringComparison.Ordinal);
        Assert.Contains("went on exactly", (await sandbox.RunAsync("restore", "c@2", "--run-for", "50ms")).Output, StringComparison.Ordinal);
        Assert.Contains("set and read back the same", (await sandbox.RunAsync("restore", "c@2", "--check")).Output, StringComparison.Ordinal);
        Assert.Contains("damaged parts: 0", (await sandbox.RunAsync("verify")).Output, StringComparison.Ordinal);
    }

    private static ulong Number(JsonElement element, string name) =>
        ulong.Parse(element.GetProperty(name).GetString()![2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
