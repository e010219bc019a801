using System.Diagnostics;
using Checkpoint.Storage.Journal.InMemory;
using Checkpoint.Storage.Locks;

namespace Checkpoint.Storage.Tests.Locks;

public sealed class MachineLockTests : IDisposable
{
    private readonly TemporaryFolder _folder = new();
    private readonly InMemoryDatabase _database = new();

    public static TheoryData<bool> Kinds => [true, false];

    public void Dispose() => _folder.Dispose();

    [Theory]
    [MemberData(nameof(Kinds))]
    public void A_machine_has_one_holder_at_a_time(bool file)
    {
        using var first = Acquire(file, "web");
        Assert.True(first.IsHeld);
        var exception = Assert.Throws<StoreException>(() => Acquire(file, "web"));
        Assert.Equal(StoreFailure.Held, exception.Failure);
        Assert.Contains($"process {Environment.ProcessId}", exception.Message, StringComparison.Ordinal);
        using var another = Acquire(file, "mail");
        first.Dispose();
        Assert.False(first.IsHeld);
        using var second = Acquire(file, "web");
        first.Dispose();
        Assert.Throws<StoreException>(() => Acquire(file, "web"));
    }

    [Fact]
    public async Task The_lock_of_a_process_goes_with_the_process()
    {
        Acquire(file: true, "web").Dispose();
        var start = new ProcessStartInfo("flock", ["--no-fork", _folder.File("locks/web"), "sh", "-c", "echo held; exec cat"])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        };
        using var process = Process.Start(start)!;
        Assert.Equal("held", await process.StandardOutput.ReadLineAsync());
        Assert.Contains("another process", Assert.Throws<StoreException>(() => Acquire(file: true, "web")).Message, StringComparison.Ordinal);
        process.Kill();
        await process.WaitForExitAsync();
        Acquire(file: true, "web").Dispose();
    }

    [Fact]
    public void Only_the_owner_can_open_the_lock_files()
    {
        using var held = Acquire(file: true, "web");
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_folder.File("locks/web")));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_folder.File("locks")));
    }

    [Fact]
    public void On_a_full_disk_a_machine_can_still_be_locked()
    {
        Directory.CreateDirectory(_folder.File("locks"));
        File.CreateSymbolicLink(_folder.File("locks/web"), "/dev/full");
        using var held = Acquire(file: true, "web");
        Assert.True(held.IsHeld);
    }

    private IMachineLock Acquire(bool file, string vm) =>
        file ? FileMachineLock.Acquire(_folder.File("locks"), vm) : InMemoryMachineLock.Acquire(_database, vm);
}
