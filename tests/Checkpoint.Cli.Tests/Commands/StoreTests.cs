namespace Checkpoint.Cli.Tests.Commands;

public class StoreTests
{
    [Theory]
    [InlineData("list")]
    [InlineData("show a@1")]
    [InlineData("verify")]
    public async Task A_store_that_is_not_there_is_not_found_and_not_created(string line)
    {
        using var sandbox = new Sandbox();
        (await sandbox.RunAsync(line.Split(' '))).Fails(4, sandbox.Database);
        Assert.False(File.Exists(sandbox.Database));
    }

    [KvmFact]
    public async Task Restoring_from_a_store_that_is_not_there_does_not_create_it()
    {
        using var sandbox = new Sandbox();
        (await sandbox.RunAsync("restore", "a@1")).Fails(4, sandbox.Database);
        (await sandbox.RunAsync("run", "--from", "a@1")).Fails(4, sandbox.Database);
        Assert.False(File.Exists(sandbox.Database));
    }

    [KvmFact]
    public async Task A_store_that_cannot_be_written_fails()
    {
        using var sandbox = new Sandbox();
        var file = Path.Combine(sandbox.Folder, "file");
        File.WriteAllText(file, "");
        (await sandbox.RunPlainAsync(["run", "--vm", "a", "--for", "1s", "--store", $"sqlite:{file}/store.db"])).Fails(1, file);
        (await sandbox.RunPlainAsync(["run", "--vm", "a", "--for", "1s", "--store", "sqlite:/proc/store.db"])).Fails(1, "/proc/store.db");
        (await sandbox.RunPlainAsync(["run", "--vm", "a", "--for", "1s", "--store", "sqlite:" + sandbox.Folder])).Fails(1, "folder");
    }

    [Fact]
    public async Task A_file_that_is_no_database_fails()
    {
        using var sandbox = new Sandbox();
        File.WriteAllText(sandbox.Database, "this is no database, and it is long enough to be looked at as one");
        (await sandbox.RunAsync("list")).Fails(1, sandbox.Database, "not an SQLite database");
    }

    [KvmFact]
    public async Task A_second_holder_of_a_machine_is_turned_away()
    {
        using var sandbox = new Sandbox();
        await using var store = sandbox.OpenStore();
        using var held = store.Lock("a");
        (await sandbox.RunAsync("run", "--vm", "a", "--for", "1s")).Fails(1, "'a'", "held", $"process {Environment.ProcessId}");
    }

    [KvmFact]
    public async Task A_machine_of_another_shape_does_not_get_the_name()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--vcpus", "1");
        (await sandbox.RunAsync("run", "--vm", "a", "--vcpus", "2", "--for", "1s")).Fails(1, "'a'", "another name");
    }

    [KvmFact]
    public async Task An_unknown_machine_or_checkpoint_is_not_found()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1);
        (await sandbox.RunAsync("restore", "a@77")).Fails(4, "a@77");
        (await sandbox.RunAsync("restore", "b@latest")).Fails(4, "'b'");
        (await sandbox.RunAsync("show", "00000000000000000000000000000000")).Fails(4);
        (await sandbox.RunAsync("list", "--vm", "b")).Fails(4, "'b'");
        (await sandbox.RunAsync("verify", "b@latest")).Fails(4, "'b'");
        (await sandbox.RunAsync("run", "--from", "a@77")).Fails(4, "a@77");
    }
}
