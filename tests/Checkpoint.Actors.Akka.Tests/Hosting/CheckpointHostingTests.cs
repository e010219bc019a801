using Akka.Actor;
using Akka.Hosting;
using Checkpoint.Actors.Akka.Messages;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Actors.Tests;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;

namespace Checkpoint.Actors.Akka.Tests.Hosting;

public sealed class CheckpointHostingTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public async Task The_engine_stands_in_a_hosts_actor_system_and_its_actor_in_the_registry()
    {
        await RunAsync(
            akka => akka
                .AddHocon(SqlStore.Config(_folder.Options), HoconAddMode.Append)
                .WithCheckpointEngine(options => options.Store = _folder.Options.Uri),
            async services =>
            {
                var engine = services.GetRequiredService<IRequiredActor<CheckpointEngineActor>>().ActorRef;
                using var guest = GuestMachine.Create(new SimulatedKvm(), GuestKind.Counter, new GuestOptions { Vcpus = 1 });
                var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };
                var attached = await engine.Ask<MachineAttached>(new EngineCommand.AttachMachine("a", attachment), TimeSpan.FromSeconds(60));
                await attached.Machine.Ask<MachineReply.Done>(new MachineCommand.StartMachine());
                Assert.IsType<CheckpointOutcome.Committed>(await attached.Machine.Ask<CheckpointOutcome>(new MachineCommand.TakeCheckpoint()));
            });

        // The host's stop has stopped the machine and given everything back.
        await using var builtIn = CheckpointEngine.Open(_folder.Options);
        Assert.Equal(1, (await builtIn.Store.RecoverAsync("a")).HighestNumber);
        builtIn.Store.Lock("a").Dispose();
    }

    [Fact]
    public async Task What_the_options_say_comes_before_the_configuration_and_that_before_the_reference()
    {
        await RunAsync(
            akka => akka
                .AddHocon("checkpoint { store = \"sqlite:/nowhere/x.db\", events-per-snapshot = 7, coordinator.keep = 3 }", HoconAddMode.Append)
                .WithCheckpointEngine(options =>
                {
                    options.Store = _folder.Options.Uri;
                    options.JournalPluginId = "akka.persistence.journal.sql";
                }),
            services =>
            {
                var settings = CheckpointExtension.Get(services.GetRequiredService<ActorSystem>()).Settings;
                Assert.Equal(_folder.Options.Uri, settings.Store.Uri);
                Assert.Equal(7, settings.EventsPerSnapshot);
                Assert.Equal(3, settings.Coordinator.Keep);
                Assert.Equal("akka.persistence.journal.sql", settings.JournalPluginId);
                Assert.Equal("", settings.SnapshotPluginId);
                return Task.CompletedTask;
            });
    }

    [Fact]
    public async Task A_host_does_not_start_with_an_option_that_cannot_be_and_says_which()
    {
        var refused = await Assert.ThrowsAsync<global::Akka.Configuration.ConfigurationException>(() => RunAsync(
            akka => akka
                .AddHocon(SqlStore.Config(_folder.Options), HoconAddMode.Append)
                .WithCheckpointEngine(options => options.Store = "mysql:x"),
            _ => Task.CompletedTask));
        Assert.Equal("checkpoint.store = mysql:x: write sqlite:PATH, the database that the journal plugin writes", refused.Message);
    }

    [Fact]
    public void The_reference_says_what_the_built_in_host_does()
    {
        var settings = CheckpointSettings.From(CheckpointExtension.DefaultConfig());
        Assert.Equal(new CoordinatorOptions(), settings.Coordinator);
        Assert.Equal(new CheckpointSettings { Store = new("sqlite:checkpoints.db") }, settings);
    }

    public void Dispose()
    {
        SqliteConnection.ClearAllPools();
        _folder.Dispose();
    }

    private static async Task RunAsync(Action<AkkaConfigurationBuilder> configure, Func<IServiceProvider, Task> use)
    {
        var builder = Host.CreateApplicationBuilder();
        builder.Logging.SetMinimumLevel(LogLevel.Warning);
        builder.Services.AddAkka("hosted", (akka, _) => configure(akka));
        using var host = builder.Build();
        await host.StartAsync();
        await use(host.Services);
        await host.StopAsync();
    }
}
