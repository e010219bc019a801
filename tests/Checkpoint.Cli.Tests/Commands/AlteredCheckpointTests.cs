using Checkpoint.AlterCheckpoint;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Tests.Commands;

/// <summary>Checkpoints of a real guest, stored once more with one value that this host cannot take.</summary>
public class AlteredCheckpointTests
{
    private static readonly string[][] s_alterations =
    [
        // A reserved bit, an address that is none, SMX, an MSR that nobody has, a local APIC that is not there, addresses so wide that KVM
        // does not even build the vCPU.
        ["reserved", "vCPU 1 cr4", "cr4", "--set", "vcpu1.cr4=0x80000620"],
        ["address", "vCPU 0 IA32_LSTAR", "IA32_LSTAR", "--set", "vcpu0.IA32_LSTAR=0x8000000000000000"],
        ["feature", "vCPU 1 cpuid.1.ecx.smx", "cpuid.1.ecx.smx", "--cpuid", "vcpu1.1.ecx.smx=1"],
        ["unknown", "vCPU 0 MSR 0x4b564d99", "MSR 0x4b564d99", "--msr", "vcpu0.0x4b564d99=0"],
        ["less", "vCPU 1 LAPIC", "LAPIC", "--drop", "vcpu1.LAPIC"],
        ["wide", "vCPU 0 cpuid.80000008.eax.linear_address_bits", "cpuid.80000008.eax.linear_address_bits", "--cpuid", "vcpu0.80000008.eax.linear_address_bits=63"],
    ];

    [StraceFact]
    public async Task What_this_host_cannot_take_is_refused_by_name_and_nothing_has_run()
    {
        using var sandbox = new Sandbox();
        await MakeAsync(sandbox);
        foreach (var command in new[] { "restore", "check" })
        {
            foreach (var (vm, shown) in s_alterations.Select(each => (each[0], each[1])).Take(3))
            {
                var traced = await TracedCommand.RunAsync(sandbox, Arguments(vm, command));
                traced.Answer.Fails(1, shown, "1 register refused");
                Assert.Equal((0, true), (traced.Calls("KVM_RUN"), traced.Calls("KVM_CREATE_VCPU") >= 2));
            }
        }

        // The same trace shows the calls where there are some.
        var control = await TracedCommand.RunAsync(sandbox, Arguments("a", "restore"));
        Assert.Equal((0, ""), (control.Answer.ExitCode, control.Answer.Error));
        Assert.NotEqual(0, control.Calls("KVM_RUN"));
        var check = await TracedCommand.RunAsync(sandbox, Arguments("a", "check"));
        Assert.Equal((0, 0), (check.Answer.ExitCode, check.Calls("KVM_RUN")));
    }

    [KvmFact]
    public async Task A_check_names_what_was_altered_in_tables_and_in_json()
    {
        using var sandbox = new Sandbox();
        await MakeAsync(sandbox);
        foreach (var (vm, shown, name) in s_alterations.Select(each => (each[0], each[1], each[2])))
        {
            var answer = await sandbox.RunAsync("restore", $"{vm}@1", "--check", "--json");
            answer.Fails(1, shown);
            var refused = Assert.Single(answer.Event("check").GetProperty("refused").EnumerateArray());
            Assert.Equal(name, refused.GetProperty("register").GetString());
            Assert.Contains(name, (await sandbox.RunAsync("restore", $"{vm}@1", "--check")).Output, StringComparison.Ordinal);
        }

        var bits = (await sandbox.RunAsync("restore", "reserved@1", "--check", "--json")).Event("check").GetProperty("refused")[0];
        Assert.Equal([31], bits.GetProperty("bits").EnumerateArray().Select(bit => bit.GetInt32()));
        var batch = (await sandbox.RunAsync("restore", "address@1", "--check", "--json")).Event("check").GetProperty("refused")[0];
        Assert.Equal(batch.GetProperty("batch_size").GetInt32() - 1, batch.GetProperty("batch_written").GetInt32());
    }

    [KvmFact]
    public async Task A_machine_that_runs_beside_a_refused_restore_goes_on_under_checkpoints()
    {
        using var sandbox = new Sandbox();
        await MakeAsync(sandbox);
        using var running = TracedCommand.Start(sandbox, "run", "--vm", "b", "--every", "20ms", "--for", "4s", "--json");
        while (await running.StandardOutput.ReadLineAsync() is { } line && !line.Contains("\"committed\"", StringComparison.Ordinal))
        {
        }

        var before = await NewestOfAsync(sandbox, "b");
        foreach (var alteration in s_alterations)
        {
            (await sandbox.RunAsync("restore", $"{alteration[0]}@1")).Fails(1, alteration[1]);
            (await sandbox.RunAsync("restore", $"{alteration[0]}@1", "--check")).Fails(1, alteration[1]);
        }

        var after = await NewestOfAsync(sandbox, "b");
        Assert.True(after > before, $"checkpoint {before} before, {after} after");
        var (answer, _) = await TracedCommand.WaitAsync(running);
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        Assert.True(answer.Event("stopped").GetProperty("verified").GetBoolean());
        Assert.DoesNotContain(answer.Json, line => line.GetProperty("event").GetString() == "aborted");
        Assert.Equal(0, (await sandbox.RunAsync("verify")).ExitCode);
        Assert.Equal(0, (await sandbox.RunAsync("restore", "b@latest", "--run-for", "50ms")).ExitCode);
    }

    private static string[] Arguments(string vm, string command) =>
        command == "check" ? ["restore", $"{vm}@latest", "--check"] : ["restore", $"{vm}@latest", "--run-for", "50ms"];

    private static async Task<long> NewestOfAsync(Sandbox sandbox, string vm)
    {
        var list = await sandbox.RunAsync("list", "--vm", vm, "--json");
        return list.Json.Where(line => line.TryGetProperty("checkpoint", out _)).Max(line => line.GetProperty("checkpoint").GetInt64());
    }

    // The machine a, and copies of its checkpoint.
    private static async Task MakeAsync(Sandbox sandbox)
    {
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "kvm");
        await using var store = sandbox.OpenStore();
        foreach (var alteration in s_alterations)
        {
            var change = Alteration.Parse(alteration[3], alteration[4]);
            await StoredAlteration.CopyAsync(store, new CheckpointReference.Latest("a"), alteration[0], change.Apply);
        }
    }
}
