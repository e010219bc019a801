namespace Checkpoint.Cli.Tests.Commands;

public class FaultsTests
{
    [Fact]
    public async Task Faults_of_a_file_are_told_as_they_are_injected_and_the_run_goes_on_without_the_checkpoints_that_they_cost()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, """
            { "seed": 1, "faults": [
              { "call": "pwrite", "at": 1, "fail": "ENOSPC" },
              { "call": "journal.append", "at": 3, "end": "lost-after-commit" },
              { "call": "journal.prove", "at": 1, "fail": "EIO" } ] }
            """);
        var answer = await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--checkpoints", "2", "--json", "--faults", faults);
        Assert.Equal(0, answer.ExitCode);
        var lines = answer.Output.Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(line => System.Text.Json.JsonDocument.Parse(line).RootElement).ToList();
        Assert.Equal(
            ["fail pwrite files", "unknown-written journal.append journal", "fail journal.prove journal"],
            lines.Where(line => Name(line) == "fault").Select(line => $"{line.GetProperty("kind")} {line.GetProperty("call")} {line.GetProperty("participant")}"));
        Assert.Equal(["append-unknown", "store-away", "store-back"], lines.Where(line => Name(line) == "store").Select(line => line.GetProperty("kind").GetString()));
        Assert.Contains("ENOSPC, injected", answer.Event("aborted").GetProperty("reason").GetString(), StringComparison.Ordinal);
        var stopped = answer.Event("stopped");
        Assert.Equal((2, 1, 3), (stopped.GetProperty("checkpoints").GetInt32(), stopped.GetProperty("aborted").GetInt32(), stopped.GetProperty("faults").GetInt32()));
        Assert.Equal(0, (await sandbox.RunAsync("verify")).ExitCode);
    }

    [Fact]
    public async Task A_file_that_holds_no_faults_is_a_usage_error_that_says_where_and_nothing_is_created()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [\n  { \"call\": \"KVM_RUM\", \"die\": true } ] }");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", faults)).Fails(2, faults, "line 2, column 13", "KVM_RUN");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", faults + ".no")).Fails(2, "cannot be read");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", sandbox.Folder)).Fails(2, sandbox.Folder, "it is a folder");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", "")).Fails(2, "--faults names no file");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", "no\nfile")).Fails(2, "no file: the faults cannot be read");
        Assert.False(File.Exists(sandbox.Database));
    }

    [Fact]
    public async Task A_fault_about_a_vcpu_that_the_machine_does_not_have_is_a_usage_error()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [ { \"call\": \"KVM_RUN\", \"vcpu\": 2, \"die\": true } ] }");
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", faults))
            .Fails(2, faults + ": line 1, column 44: a fault at KVM_RUN is about vCPU 2, and the machine has 2; write one from 0 to 1");
        Assert.False(File.Exists(sandbox.Database));
        Assert.Equal(0, (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--checkpoints", "1")).ExitCode);
        (await sandbox.RunAsync("run", "--from", "a@1", "--machine", "sim", "--faults", faults)).Fails(2, faults, "the machine has 2");
    }

    [Theory]
    [InlineData("device.park")]
    [InlineData("device.resume")]
    [InlineData("device.r*")]
    public async Task A_fault_at_a_call_that_is_never_made_on_the_programs_own_devices_is_a_usage_error(string call)
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, $$"""
            { "faults": [
              { "call": "device.*", "probability": 0, "hang": true },
              { "call": "{{call}}", "hang": true } ] }
            """);
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--faults", faults))
            .Fails(2, $"{faults}: line 3, column 13: {call} is never called here", "write device.capture");
        Assert.False(File.Exists(sandbox.Database));
    }

    [Fact]
    public async Task A_fault_that_keeps_the_machine_from_being_built_is_told_before_the_run_fails()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [ { \"call\": \"flock\", \"at\": 1, \"fail\": \"EIO\" } ] }");
        var answer = await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--for", "1s", "--json", "--faults", faults);
        Assert.Equal((1, "flock"), (answer.ExitCode, answer.Event("fault").GetProperty("call").GetString()));
    }

    [Fact]
    public async Task A_machine_that_cannot_be_registered_is_told_in_words()
    {
        using var sandbox = new Sandbox();
        string[] line = ["run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--checkpoints", "1", "--faults"];
        var refused = Write(sandbox, "{ \"faults\": [ { \"call\": \"journal.append\", \"at\": 1, \"fail\": \"ENOMEM\" } ] }");
        (await sandbox.RunAsync([.. line, refused])).Fails(1, "machine 'a' could not be written to the journal: Cannot allocate memory (ENOMEM, injected)");
        var unknown = Write(sandbox, "{ \"faults\": [ { \"call\": \"journal.append\", \"at\": 1, \"end\": \"lost-after-commit\" } ] }");
        (await sandbox.RunAsync([.. line, unknown])).Fails(1, "journal: nobody knows whether it was written (the connection was lost");
    }

    [Theory]
    [InlineData("\"call\": \"KVM_RUN\", \"vcpu\": 1, \"at\": 3, \"die\": true")]
    [InlineData("\"call\": \"KVM_RUN\", \"vcpu\": 1, \"at\": 3, \"lose-machine\": \"ENODEV\"")]
    public async Task A_run_whose_machine_cannot_be_read_at_the_end_says_all_the_same_what_ended_it(string fault)
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, $"{{ \"faults\": [ {{ {fault} }} ] }}");
        var answer = await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--for", "20s", "--json", "--faults", faults);
        answer.Fails(1, "machine 'a' was stopped: vcpu 1 ", "KVM_RUN failed on vCPU 1");
        var stopped = answer.Event("stopped");
        Assert.Equal(("failed", false, 0), (stopped.GetProperty("reason").GetString(), stopped.GetProperty("verified").GetBoolean(), stopped.GetProperty("steps").GetArrayLength()));
        Assert.Contains("cannot be read any more", Assert.Single(stopped.GetProperty("failures").EnumerateArray()).GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_kick_that_hangs_keeps_no_round_for_longer_than_the_vcpu_itself_does()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [ { \"call\": \"tgkill\", \"vcpu\": 1, \"at\": 1, \"hang\": true } ] }");
        // The vCPU hears of it at its next exit, or the round is aborted; nobody but this token ends a round that waits for the kick.
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
        string[] line = ["run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--checkpoints", "1", "--json", "--faults", faults, "--store", sandbox.StoreUri];
        var answer = await sandbox.RunPlainAsync(line, cancellationToken: patience.Token);
        Assert.Equal((0, "tgkill"), (answer.ExitCode, answer.Event("fault").GetProperty("call").GetString()));
    }

    [Fact]
    public async Task The_programs_own_guest_can_fail_as_a_device_and_at_its_exits()
    {
        using var sandbox = new Sandbox();
        var device = Write(sandbox, "{ \"faults\": [ { \"call\": \"device.capture\", \"at\": 1, \"fail\": \"EIO\" } ] }");
        var run = await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--checkpoints", "1", "--json", "--faults", device);
        Assert.Equal((0, "machine could not be captured: EIO; injected"), (run.ExitCode, run.Event("aborted").GetProperty("reason").GetString()));
        var exits = Write(sandbox, "{ \"faults\": [ { \"call\": \"exit.handle\", \"vcpu\": 1, \"at\": 20, \"fail\": \"EIO\" } ] }");
        // Whoever hears of it first says that it was ended by its handler, or that it has ended.
        (await sandbox.RunAsync("run", "--vm", "b", "--machine", "sim", "--every", "20ms", "--for", "20s", "--faults", exits))
            .Fails(1, "machine 'b' was stopped: vcpu 1");
    }

    [Fact]
    public async Task An_interrupt_ends_what_hangs_before_the_guest_runs()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [ { \"call\": \"KVM_CREATE_VCPU\", \"at\": 1, \"hang\": true } ] }");
        using var interruption = new CancellationTokenSource(TimeSpan.FromMilliseconds(200));
        string[] line = ["run", "--vm", "a", "--machine", "sim", "--for", "20s", "--json", "--faults", faults, "--store", sandbox.StoreUri];
        Assert.Equal(130, (await sandbox.RunPlainAsync(line, cancellationToken: interruption.Token)).ExitCode);
    }

    [Fact]
    public async Task A_vcpu_that_never_parks_does_not_keep_a_run_from_ending()
    {
        using var sandbox = new Sandbox();
        var faults = Write(sandbox, "{ \"faults\": [ { \"call\": \"vcpu.park\", \"vcpu\": 1, \"at\": 1, \"hang\": true } ] }");
        var answer = await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--every", "20ms", "--for", "500ms", "--json", "--faults", faults);
        Assert.True(answer.Event("stopped").GetProperty("verified").GetBoolean());
    }

    private static string? Name(System.Text.Json.JsonElement line) => line.GetProperty("event").GetString();

    private static string Write(Sandbox sandbox, string json)
    {
        var path = Path.Combine(sandbox.Folder, "faults.json");
        File.WriteAllText(path, json);
        return path;
    }
}
