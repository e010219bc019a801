using Akka.Actor;
using Akka.Configuration;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka.Tests;

public sealed class CheckpointSettingsTests
{
    private const string Duration = "a duration such as 500ms, 2s or 1m";
    private const string Deadline = "a duration from 1ms to 1d";
    private const string Section = "a section, { } with settings in it, or leave it out";

    [Theory]
    [InlineData("checkpoint = 5", "checkpoint = 5: write " + Section)]
    [InlineData("checkpoint = null", "checkpoint = nothing: write " + Section)]
    [InlineData("checkpoint = [1, 2]", "checkpoint = a list: write " + Section)]
    [InlineData("checkpoint.coordinator = fast", "checkpoint.coordinator = fast: write " + Section)]
    [InlineData("checkpoint.dispatcher = akka.actor.default-dispatcher", "checkpoint.dispatcher = akka.actor.default-dispatcher: write " + Section)]
    [InlineData("checkpoint.coordinator.mode = incremetal", "checkpoint.coordinator.mode = incremetal: write full or incremental")]
    [InlineData("checkpoint.coordinator.mode = 1", "checkpoint.coordinator.mode = 1: write full or incremental")]
    [InlineData("checkpoint.coordinator.mode = \"full,incremental\"", "checkpoint.coordinator.mode = full,incremental: write full or incremental")]
    [InlineData("checkpoint.coordinator.park-deadline = -5s", "checkpoint.coordinator.park-deadline = -5s: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline = soon", "checkpoint.coordinator.park-deadline = soon: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline = null", "checkpoint.coordinator.park-deadline = nothing: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline = [2s]", "checkpoint.coordinator.park-deadline = a list: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline { max = 2s }", "checkpoint.coordinator.park-deadline = a section: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline = 99999999999999d", "checkpoint.coordinator.park-deadline = 99999999999999d: write " + Duration)]
    [InlineData("checkpoint.coordinator.park-deadline = infinite", "checkpoint.coordinator.park-deadline = infinite: write " + Deadline)]
    [InlineData("checkpoint.coordinator.prepare-deadline = infinite", "checkpoint.coordinator.prepare-deadline = infinite: write " + Deadline)]
    [InlineData("checkpoint.coordinator.capture-deadline = 0", "checkpoint.coordinator.capture-deadline = 0: write " + Deadline)]
    [InlineData("checkpoint.coordinator.resume-deadline = 25h", "checkpoint.coordinator.resume-deadline = 25h: write " + Deadline)]
    [InlineData("checkpoint.coordinator.recover-deadline = infinite", "checkpoint.coordinator.recover-deadline = infinite: write " + Deadline)]
    [InlineData("checkpoint.coordinator.store-deadline = infinite", "checkpoint.coordinator.store-deadline = infinite: write " + Deadline)]
    [InlineData("checkpoint.coordinator.stop-deadline = 0s", "checkpoint.coordinator.stop-deadline = 0s: write " + Deadline)]
    [InlineData("checkpoint.coordinator.store-grace = infinite", "checkpoint.coordinator.store-grace = infinite: write a duration from 0ms to 1d")]
    [InlineData("checkpoint.coordinator.max-chain = 0", "checkpoint.coordinator.max-chain = 0: write a whole number from 1")]
    [InlineData("checkpoint.coordinator.max-chain = 2.5", "checkpoint.coordinator.max-chain = 2.5: write a whole number")]
    [InlineData("checkpoint.coordinator.keep = -5", "checkpoint.coordinator.keep = -5: write 0 to keep all, or how many to keep")]
    [InlineData("checkpoint.coordinator.keep = many", "checkpoint.coordinator.keep = many: write a whole number")]
    [InlineData("checkpoint.coordinator.keep = 99999999999", "checkpoint.coordinator.keep = 99999999999: write a whole number")]
    [InlineData("checkpoint.events-per-snapshot = 0", "checkpoint.events-per-snapshot = 0: write a whole number from 1")]
    [InlineData("checkpoint.stop-patience = infinite", "checkpoint.stop-patience = infinite: write " + Deadline)]
    [InlineData("checkpoint.journal-patience = -1", "checkpoint.journal-patience = -1: write " + Duration)]
    [InlineData("checkpoint.device-answer-timeout = 0s", "checkpoint.device-answer-timeout = 0s: write " + Deadline)]
    [InlineData("checkpoint.run-coordinated-shutdown = perhaps", "checkpoint.run-coordinated-shutdown = perhaps: write on or off")]
    [InlineData("checkpoint.store = \"\"", "checkpoint.store = nothing: write sqlite:PATH, the database that the journal plugin writes")]
    [InlineData("checkpoint.store = \"memory:\"", "checkpoint.store = memory:: write sqlite:PATH, the database that the journal plugin writes")]
    [InlineData("checkpoint.coordinator.max-pause = long", "checkpoint.coordinator.max-pause = long: write a duration such as 1.5ms, or off")]
    [InlineData("checkpoint.coordinator.max-pause = 0ms", "checkpoint.coordinator.max-pause = 0ms: write a duration from 0.001ms to 1d")]
    [InlineData("checkpoint.coordinator.over-max-pause = wait", "checkpoint.coordinator.over-max-pause = wait: write protect, refuse or exceed")]
    [InlineData("checkpoint.store = \"mysql:x\"", "checkpoint.store = mysql:x: write sqlite:PATH, the database that the journal plugin writes")]
    [InlineData("checkpoint.store { path = x }", "checkpoint.store = a section: write a text")]
    public void A_setting_that_cannot_be_is_refused_by_its_name_with_what_was_found_and_what_to_write(string given, string said)
    {
        Assert.Equal(said, Refused(given));
    }

    [Theory]
    [InlineData("checkpoint.coordinator.park-dedline = 5s", "checkpoint.coordinator.park-dedline = 5s: write one of its settings: prepare-deadline, park-deadline,")]
    [InlineData("checkpoint.keep = 3", "checkpoint.keep = 3: write one of its settings: store, segments-folder,")]
    public void A_setting_that_does_not_exist_is_refused_with_those_that_do(string given, string said)
    {
        Assert.StartsWith(said, Refused(given), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_setting_is_read()
    {
        var settings = CheckpointSettings.From(ConfigurationFactory.ParseString(
            """
            checkpoint {
              store = "sqlite:/x/y.db"
              segments-folder = /x/segments
              journal-plugin-id = journal
              snapshot-plugin-id = snapshots
              events-per-snapshot = 7
              stop-patience = 1m
              journal-patience = 1.5s
              device-answer-timeout = 1d
              run-coordinated-shutdown = off
              dispatcher.throughput = 5
              coordinator {
                prepare-deadline = 11s, park-deadline = 12s, capture-deadline = 13s, resume-deadline = 14s, store-grace = 0ms, recover-deadline = 250ms, restore-deadline = 15s
                store-deadline = 16s, stop-deadline = 17s
                mode = Incremental, max-chain = 1, keep = 3, compress = yes, max-pause = 1.5ms, over-max-pause = Refuse
              }
            }
            """).WithFallback(CheckpointExtension.DefaultConfig()));
        Assert.Equal(
            new CheckpointSettings
            {
                Store = new StoreOptions("sqlite:/x/y.db", "/x/segments"),
                JournalPluginId = "journal",
                SnapshotPluginId = "snapshots",
                EventsPerSnapshot = 7,
                StopPatience = TimeSpan.FromMinutes(1),
                JournalPatience = TimeSpan.FromMilliseconds(1500),
                DeviceAnswerTimeout = TimeSpan.FromDays(1),
                RunCoordinatedShutdown = false,
                Coordinator = new CoordinatorOptions
                {
                    PrepareDeadline = TimeSpan.FromSeconds(11),
                    ParkDeadline = TimeSpan.FromSeconds(12),
                    CaptureDeadline = TimeSpan.FromSeconds(13),
                    ResumeDeadline = TimeSpan.FromSeconds(14),
                    StoreGrace = TimeSpan.Zero,
                    RecoverDeadline = TimeSpan.FromMilliseconds(250),
                    RestoreDeadline = TimeSpan.FromSeconds(15),
                    StoreDeadline = TimeSpan.FromSeconds(16),
                    StopDeadline = TimeSpan.FromSeconds(17),
                    Mode = CheckpointMode.Incremental,
                    MaxChain = 1,
                    Compress = true,
                    MaxPause = TimeSpan.FromMilliseconds(1.5),
                    OverMaxPause = OverMaxPause.Refuse,
                    Keep = 3,
                },
            },
            settings);
    }

    [Fact]
    public async Task An_actor_system_with_a_wrong_setting_has_no_engine_and_says_why()
    {
        using var folder = new TestFolder();
        using var system = ActorSystem.Create("wrong", ConfigurationFactory.ParseString("checkpoint.coordinator = 5").WithFallback(SqlStore.Config(folder.Options)));
        var refused = Assert.Throws<ConfigurationException>(() => CheckpointExtension.Get(system));
        Assert.Equal("checkpoint.coordinator = 5: write " + Section, refused.Message);
        await system.Terminate();
    }

    [Fact]
    public void The_same_is_refused_where_settings_are_made_in_code()
    {
        Assert.Equal("EventsPerSnapshot = 0: write a whole number from 1", Refused(() => Settings() with { EventsPerSnapshot = 0 }));
        Assert.Equal("StopPatience = infinite: write " + Deadline, Refused(() => Settings() with { StopPatience = Timeout.InfiniteTimeSpan }));
        Assert.Equal("JournalPatience = 0ms: write " + Deadline, Refused(() => Settings() with { JournalPatience = TimeSpan.Zero }));
        Assert.Equal("DeviceAnswerTimeout = -5ms: write " + Deadline, Refused(() => Settings() with { DeviceAnswerTimeout = TimeSpan.FromMilliseconds(-5) }));
    }

    private static CheckpointSettings Settings() => new() { Store = new StoreOptions("sqlite:x.db") };

    private static string Refused(Func<CheckpointSettings> make) => Assert.Throws<OptionOutOfRangeException>(make).Message;

    private static string Refused(string given) => Assert.Throws<ConfigurationException>(
        () => CheckpointSettings.From(ConfigurationFactory.ParseString(given).WithFallback(CheckpointExtension.DefaultConfig()))).Message;
}
