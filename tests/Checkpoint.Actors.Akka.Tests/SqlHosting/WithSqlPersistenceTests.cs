using Akka.Actor;
using Akka.Hosting;
using Akka.Persistence.Sql.Hosting;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Actors.Tests;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Checkpoint.Actors.Akka.Tests.SqlHosting;

public sealed class WithSqlPersistenceTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task The_engine_stands_beside_it_with_nothing_else_to_configure_and_the_built_in_host_reads_what_it_wrote()
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddAkka("vmm", akka => akka
            .WithSqlPersistence("Data Source=" + _folder.Database, "SQLite.MS", autoInitialize: false)
            .WithCheckpointEngine(options => options.Store = _folder.Options.Uri));
        using (var host = builder.Build())
        {
            await host.StartAsync();
            var engine = host.Services.GetRequiredService<IRequiredActor<CheckpointEngineActor>>().ActorRef;
            using var guest = GuestMachine.Create(new SimulatedKvm(), GuestKind.Counter, new GuestOptions { Vcpus = 1 });
            var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };
            var attached = await engine.Ask<MachineAttached>(new EngineCommand.AttachMachine("a", attachment), TimeSpan.FromSeconds(60));
            await attached.Machine.Ask<MachineReply.Done>(new MachineCommand.StartMachine());
            for (var number = 1; number <= 3; number++)
                Assert.IsType<CheckpointOutcome.Committed>(await attached.Machine.Ask<CheckpointOutcome>(new MachineCommand.TakeCheckpoint()));
            await host.StopAsync();
        }

        await using var builtIn = CheckpointEngine.Open(_folder.Options);
        var report = await builtIn.Store.VerifyAsync();
        Assert.Empty(report.Damages);
        Assert.Equal(3, report.Checkpoints);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }
}
