using Akka.Configuration;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Storage;

namespace Checkpoint.Actors.Akka;

/// <summary>The section <c>checkpoint</c> of an actor system's configuration; <c>reference.conf</c> explains each setting.</summary>
public sealed record CheckpointSettings
{
    internal const string Dispatcher = "checkpoint.dispatcher";

    /// <summary>Which store.</summary>
    public required StoreOptions Store { get; init; }

    /// <summary>The journal's plugin; empty for the actor system's default.</summary>
    public string JournalPluginId { get; init; } = "";

    /// <summary>The snapshot store's plugin; empty for the actor system's default.</summary>
    public string SnapshotPluginId { get; init; } = "";

    /// <summary>A snapshot after so many events.</summary>
    public int EventsPerSnapshot { get; init; } = 500;

    /// <summary>How long a stop waits for vCPUs and devices.</summary>
    public TimeSpan StopPatience { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>
    /// How long a machine that ends waits for the journal's answer to its last write. Without one its lock is kept until the
    /// process ends.
    /// </summary>
    public TimeSpan JournalPatience { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>How long a device that is an actor may take for one answer.</summary>
    public TimeSpan DeviceAnswerTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Whether the coordinated shutdown stops the machines.</summary>
    public bool RunCoordinatedShutdown { get; init; } = true;

    /// <summary>For machines that are attached without options of their own.</summary>
    public CoordinatorOptions Coordinator { get; init; } = new();

    /// <summary>Reads the section.</summary>
    public static CheckpointSettings From(Config system)
    {
        var config = system.GetConfig("checkpoint");
        var coordinator = config.GetConfig("coordinator");
        var segments = config.GetString("segments-folder");
        var keep = coordinator.GetInt("keep");
        return new CheckpointSettings
        {
            Store = new StoreOptions(config.GetString("store"), segments.Length == 0 ? null : segments),
            JournalPluginId = config.GetString("journal-plugin-id"),
            SnapshotPluginId = config.GetString("snapshot-plugin-id"),
            EventsPerSnapshot = config.GetInt("events-per-snapshot"),
            StopPatience = config.GetTimeSpan("stop-patience"),
            JournalPatience = config.GetTimeSpan("journal-patience"),
            DeviceAnswerTimeout = config.GetTimeSpan("device-answer-timeout"),
            RunCoordinatedShutdown = config.GetBoolean("run-coordinated-shutdown"),
            Coordinator = new CoordinatorOptions
            {
                PrepareDeadline = coordinator.GetTimeSpan("prepare-deadline"),
                ParkDeadline = coordinator.GetTimeSpan("park-deadline"),
                CaptureDeadline = coordinator.GetTimeSpan("capture-deadline"),
                ResumeDeadline = coordinator.GetTimeSpan("resume-deadline"),
                StoreGrace = coordinator.GetTimeSpan("store-grace"),
                RecoverDeadline = coordinator.GetTimeSpan("recover-deadline"),
                Mode = Enum.Parse<CheckpointMode>(coordinator.GetString("mode"), ignoreCase: true),
                MaxChain = coordinator.GetInt("max-chain"),
                Compress = coordinator.GetBoolean("compress"),
                Keep = keep > 0 ? keep : null,
            },
        };
    }
}
