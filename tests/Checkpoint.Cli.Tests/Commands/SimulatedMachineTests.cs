using System.Globalization;
using System.Runtime.InteropServices;
using System.Text.Json;

namespace Checkpoint.Cli.Tests.Commands;

/// <summary>Simulated machines need nothing of the host, so neither do these tests.</summary>
public class SimulatedMachineTests
{
    [Theory]
    [InlineData("x64", "ledger")]
    [InlineData("x64", "counter")]
    [InlineData("arm64", "ledger")]
    [InlineData("arm64", "counter")]
    public async Task A_simulated_guest_goes_on_exactly_from_its_checkpoint(string arch, string guest)
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.MakeCheckpointsAsync("a", 2, "--machine", "sim", "--arch", arch, "--guest", guest, "--seed", "5");
        var started = run.Event("started");
        Assert.Equal(("sim", arch, 5), (started.GetProperty("machine").GetString(), started.GetProperty("arch").GetString(), started.GetProperty("seed").GetInt32()));

        // Neither kind nor architecture is said again: both are the checkpoint's.
        var answer = await sandbox.RunAsync("restore", "a@1", "--run-for", "50ms", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var restored = answer.Event("restored");
        Assert.Equal(("sim", arch), (restored.GetProperty("machine").GetString(), restored.GetProperty("arch").GetString()));
        Assert.True(answer.Event("guest").GetProperty("verified").GetBoolean());

        var on = await sandbox.RunAsync("run", "--from", "a@2", "--every", "20ms", "--checkpoints", "1", "--json");
        Assert.Equal((0, ""), (on.ExitCode, on.Error));
        Assert.Equal(("sim", arch, 5), (on.Event("started").GetProperty("machine").GetString(), on.Event("started").GetProperty("arch").GetString(), on.Event("started").GetProperty("seed").GetInt32()));
        Assert.True(on.Event("stopped").GetProperty("verified").GetBoolean());

        var shown = (await sandbox.RunAsync("show", "a@3", "--json")).Event("show").GetProperty("machine");
        Assert.Equal((arch, true), (shown.GetProperty("arch").GetString(), shown.GetProperty("simulated").GetBoolean()));
    }

    [Theory]
    [InlineData("x64")]
    [InlineData("arm64")]
    public async Task The_demonstration_verifies_a_simulated_machine_as_well(string arch)
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(["demo", "--machine", "sim", "--arch", arch, "--for", "3s", "--every", "20ms", "--json"]);
        Assert.Equal(0, answer.ExitCode);
        Assert.All(answer.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), progress => Assert.Contains(" runs the guest: ", progress, StringComparison.Ordinal));
        var demo = answer.Event("demo");
        Assert.Equal(
            ("sim", arch, true), (demo.GetProperty("machine").GetString(), demo.GetProperty("arch").GetString(), demo.GetProperty("verified").GetBoolean()));
    }

    [Fact]
    public async Task Where_KVM_cannot_be_used_the_machine_is_simulated_and_one_line_says_why()
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(
            ["run", "--vm", "a", "--every", "20ms", "--checkpoints", "1", "--json", "--store", sandbox.StoreUri], around => around with { KvmDevice = "/dev/nosuch-kvm" });
        Assert.Equal(0, answer.ExitCode);
        Assert.Equal("sim", answer.Event("started").GetProperty("machine").GetString());
        var note = Assert.Single(answer.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Contains("/dev/nosuch-kvm", note, StringComparison.Ordinal);
        Assert.Contains("simulated", note, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_machine_of_another_architecture_than_the_host_s_is_simulated_or_refused()
    {
        var (host, other) = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? ("arm64", "x64") : ("x64", "arm64");
        using var sandbox = new Sandbox();
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "kvm", "--arch", other)).Fails(1, $"runs {host} machines, not {other}", "--machine sim");
        Assert.False(File.Exists(sandbox.Database));

        var answer = await sandbox.RunAsync("run", "--vm", "a", "--arch", other, "--every", "20ms", "--checkpoints", "1", "--json");
        Assert.Equal(0, answer.ExitCode);
        Assert.Contains($"not {other}; the machine is simulated", answer.Error, StringComparison.Ordinal);
        Assert.Equal("sim", answer.Event("started").GetProperty("machine").GetString());

        (await sandbox.RunAsync("restore", "a@1", "--arch", host)).Fails(1, $"--arch {host}", $"an {other} machine");
        (await sandbox.RunAsync("restore", "a@1", "--machine", "kvm")).Fails(1, $"not {other}");
    }

    [Theory]
    [InlineData("x64", "many-regs")]
    [InlineData("x64", "msrs")]
    [InlineData("x64", "one-reg")]
    [InlineData("arm64", "many-regs")]
    [InlineData("arm64", "one-reg")]
    public async Task Registers_travel_as_was_asked_for_and_give_the_same_machine(string arch, string batching)
    {
        using var sandbox = new Sandbox();
        var run = await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "sim", "--arch", arch, "--batching", batching);
        Assert.Equal(batching, run.Event("committed").GetProperty("batching").GetString());

        var best = (await sandbox.RunAsync("restore", "a@1", "--run-for", "20ms", "--json")).Event("restored");
        Assert.Equal("many-regs", best.GetProperty("batching").GetString());
        var asked = await sandbox.RunAsync("restore", "a@1", "--run-for", "20ms", "--batching", batching, "--json");
        Assert.Equal((0, batching), (asked.ExitCode, asked.Event("restored").GetProperty("batching").GetString()));
    }

    [Fact]
    public async Task A_way_that_the_machine_does_not_have_is_refused_in_one_line()
    {
        using var sandbox = new Sandbox();
        (await sandbox.RunAsync("run", "--vm", "a", "--machine", "sim", "--arch", "arm64", "--batching", "msrs")).Fails(1, "--batching msrs", "one-reg");
        Assert.False(File.Exists(sandbox.Database));
    }

    [KvmFact]
    public async Task A_machine_of_KVM_reads_its_registers_as_was_asked_for()
    {
        using var sandbox = new Sandbox();
        foreach (var batching in new[] { "many-regs", "msrs", "one-reg" })
        {
            var answer = await sandbox.RunAsync("run", "--vm", batching, "--machine", "kvm", "--batching", batching, "--every", "20ms", "--checkpoints", "1", "--json");
            if (answer.ExitCode == 0)
                Assert.Equal(batching, answer.Event("committed").GetProperty("batching").GetString());
            else
                answer.Fails(1, $"--batching {batching}"); // Not every kernel has every way.
        }
    }

    [Fact]
    public async Task The_registers_of_an_arm64_counter_have_names_and_agree_with_its_memory()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("c", 1, "--machine", "sim", "--arch", "arm64", "--guest", "counter");
        var answer = await sandbox.RunAsync("show", "c@1", "--registers", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var guest = answer.Event("show").GetProperty("guest");
        for (var vcpu = 0; vcpu < 2; vcpu++)
        {
            var registers = answer.Json.Single(line => line.GetProperty("event").GetString() == "registers" && line.GetProperty("vcpu") is { ValueKind: JsonValueKind.Number } at && at.GetInt32() == vcpu).GetProperty("registers");
            var step = guest.GetProperty("vcpus")[vcpu];
            Assert.Equal(Number(step, "pc"), Number(registers, "pc"));
            Assert.InRange(Number(registers, "pc"), Number(guest, "loop_start"), Number(guest, "loop_end") - 1);
            var n = Number(registers, "x3");
            Assert.Equal(n, step.GetProperty("n_register").GetUInt64());
            Assert.InRange(step.GetProperty("n_memory").GetUInt64(), n - 1, n);
            Assert.True(registers.TryGetProperty("SCTLR_EL1", out _));
        }

        var table = (await sandbox.RunAsync("show", "c@1", "--registers")).Output;
        Assert.Contains("n in x3", table, StringComparison.Ordinal);
        Assert.Contains("TCR_EL1", table, StringComparison.Ordinal);
    }

    private static ulong Number(JsonElement element, string name) =>
        ulong.Parse(element.GetProperty(name).GetString()![2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
