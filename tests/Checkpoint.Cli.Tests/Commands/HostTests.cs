namespace Checkpoint.Cli.Tests.Commands;

public class HostTests
{
    [Theory]
    [InlineData("run --vm a --for 1s --machine kvm")]
    [InlineData("demo --machine kvm")]
    public async Task Without_KVM_a_command_that_is_to_use_it_fails_with_the_reason(string line)
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(
            [.. line.Split(' '), "--store", sandbox.StoreUri], around => around with { KvmDevice = "/dev/nosuch-kvm" });
        answer.Fails(1, "/dev/nosuch-kvm", "missing", "--machine sim");
        Assert.False(File.Exists(sandbox.Database));
    }

    [Fact]
    public async Task The_doctor_answers_without_KVM_as_well()
    {
        using var sandbox = new Sandbox();
        var answer = await sandbox.RunPlainAsync(
            ["doctor", "--json", "--store", sandbox.StoreUri], around => around with { KvmDevice = "/dev/nosuch-kvm" });
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var line = answer.Event("doctor");
        Assert.False(line.GetProperty("kvm").GetBoolean());
        Assert.True(line.GetProperty("sim").GetBoolean());
        Assert.Contains("missing", line.GetProperty("kvm_reason").GetString(), StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_doctor_looks_at_a_store_without_creating_one()
    {
        using var sandbox = new Sandbox();
        Assert.Equal("ok", (await sandbox.RunAsync("doctor", "--json")).Event("doctor").GetProperty("store").GetString());
        Assert.Empty(Directory.EnumerateFileSystemEntries(sandbox.Folder));

        File.WriteAllText(sandbox.Database, "this is no database, and it is long enough to be looked at as one");
        Assert.Contains("not an SQLite database", (await sandbox.RunAsync("doctor", "--json")).Event("doctor").GetProperty("store").GetString(), StringComparison.Ordinal);
    }

    [KvmFact]
    public async Task The_doctor_names_capabilities_and_how_registers_are_read()
    {
        using var sandbox = new Sandbox();
        var line = (await sandbox.RunAsync("doctor", "--json")).Event("doctor");
        Assert.True(line.GetProperty("kvm").GetBoolean());
        Assert.Equal(12, line.GetProperty("api").GetInt32());
        Assert.True(line.GetProperty("capabilities").GetProperty("KVM_CAP_MAX_VCPUS").GetInt32() > 0);
        Assert.Contains(line.GetProperty("batching").GetString(), new[] { "many-regs", "msrs", "one-reg" });

        var table = await sandbox.RunAsync("doctor");
        Assert.Contains("KVM_CAP_SREGS2", table.Output, StringComparison.Ordinal);
        Assert.Contains("usable, API version 12", table.Output, StringComparison.Ordinal);
    }
}
