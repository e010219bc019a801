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
    public int EventsPerSnapshot { get; init => field = OptionLimits.Count(value); } = 500;

    /// <summary>How long a stop waits for vCPUs and devices.</summary>
    public TimeSpan StopPatience { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(5);

    /// <summary>How long a machine whose coordinator has ended waits for the journal's answer to its last write, before it settles the matter itself.</summary>
    public TimeSpan JournalPatience { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(30);

    /// <summary>How long a device that is an actor may take for one answer where no deadline of the round is shorter.</summary>
    public TimeSpan DeviceAnswerTimeout { get; init => field = OptionLimits.Deadline(value); } = TimeSpan.FromSeconds(30);

    /// <summary>Whether the coordinated shutdown stops the machines.</summary>
    public bool RunCoordinatedShutdown { get; init; } = true;

    /// <summary>For machines that are attached without options of their own.</summary>
    public CoordinatorOptions Coordinator { get; init; } = new();

    /// <summary>Reads the section.</summary>
    /// <exception cref="ConfigurationException">A setting is not what it can be; the message names it, says what was found and what to write.</exception>
    public static CheckpointSettings From(Config system)
    {
        var section = SettingsSection.Of(system, "checkpoint");
        section.KnowOnly(
            "store", "segments-folder", "journal-plugin-id", "snapshot-plugin-id", "events-per-snapshot", "stop-patience", "journal-patience",
            "device-answer-timeout", "run-coordinated-shutdown", "dispatcher", "coordinator");
        var coordinator = CoordinatorOf(section.Section("coordinator"));
        var segments = section.Text("segments-folder");
        section.Section("dispatcher");
        return section.Checked(() => new CheckpointSettings
        {
            Store = new StoreOptions(StoreOf(section), segments.Length == 0 ? null : segments),
            JournalPluginId = section.Text("journal-plugin-id"),
            SnapshotPluginId = section.Text("snapshot-plugin-id"),
            EventsPerSnapshot = section.WholeNumber("events-per-snapshot"),
            StopPatience = section.Duration("stop-patience"),
            JournalPatience = section.Duration("journal-patience"),
            DeviceAnswerTimeout = section.Duration("device-answer-timeout"),
            RunCoordinatedShutdown = section.Switch("run-coordinated-shutdown"),
            Coordinator = coordinator,
        });
    }

    private static CoordinatorOptions CoordinatorOf(SettingsSection section)
    {
        section.KnowOnly(
            "prepare-deadline", "park-deadline", "capture-deadline", "resume-deadline", "store-grace", "store-deadline", "recover-deadline",
            "restore-deadline", "stop-deadline", "mode", "max-chain", "compress", "max-pause", "over-max-pause", "keep");
        var keep = section.WholeNumber("keep");
        if (keep < 0)
            throw section.Wrong("keep", "0 to keep all, or how many to keep");
        return section.Checked(() => new CoordinatorOptions
        {
            PrepareDeadline = section.Duration("prepare-deadline"),
            ParkDeadline = section.Duration("park-deadline"),
            CaptureDeadline = section.Duration("capture-deadline"),
            ResumeDeadline = section.Duration("resume-deadline"),
            StoreGrace = section.Duration("store-grace"),
            StoreDeadline = section.Duration("store-deadline"),
            RecoverDeadline = section.Duration("recover-deadline"),
            RestoreDeadline = section.Duration("restore-deadline"),
            StopDeadline = section.Duration("stop-deadline"),
            Mode = section.Text("mode").ToUpperInvariant() switch
            {
                "FULL" => CheckpointMode.Full,
                "INCREMENTAL" => CheckpointMode.Incremental,
                _ => throw section.Wrong("mode", "full or incremental"),
            },
            MaxChain = section.WholeNumber("max-chain"),
            Compress = section.Switch("compress"),
            MaxPause = section.DurationOrOff("max-pause"),
            OverMaxPause = section.Text("over-max-pause").ToUpperInvariant() switch
            {
                "PROTECT" => OverMaxPause.Protect,
                "REFUSE" => OverMaxPause.Refuse,
                "EXCEED" => OverMaxPause.Exceed,
                _ => throw section.Wrong("over-max-pause", "protect, refuse or exceed"),
            },
            Keep = keep > 0 ? keep : null,
        });
    }

    private static string StoreOf(SettingsSection section)
    {
        const string Allowed = "sqlite:PATH, the database that the journal plugin writes";
        var text = section.Text("store");
        try
        {
            // A store in memory is nobody's journal.
            return text.Length > 0 && StoreUri.Parse(text).SqlitePath is not null ? text : throw section.Wrong("store", Allowed);
        }
        catch (StoreException wrong)
        {
            throw section.Wrong("store", Allowed, wrong);
        }
    }
}
