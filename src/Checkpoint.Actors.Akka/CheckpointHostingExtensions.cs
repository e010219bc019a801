using Akka.Actor;
using Akka.Configuration;
using Akka.Hosting;

namespace Checkpoint.Actors.Akka;

/// <summary>The key of the engine's actor in Akka.Hosting's registry: <c>IRequiredActor&lt;CheckpointEngineActor&gt;</c>.</summary>
public sealed class CheckpointEngineActor
{
    private CheckpointEngineActor()
    {
    }
}

/// <summary>What is said of the engine where a host builds its actor system.</summary>
public sealed class CheckpointEngineOptions
{
    /// <summary>The store: <c>sqlite:PATH</c>. The journal plugin must write the same database.</summary>
    public string? Store { get; set; }

    /// <summary>The folder of the memory segments; null for <c>PATH.d</c> beside the database.</summary>
    public string? SegmentsFolder { get; set; }

    /// <summary>The journal's plugin; null for the actor system's default.</summary>
    public string? JournalPluginId { get; set; }

    /// <summary>The snapshot store's plugin; null for the actor system's default.</summary>
    public string? SnapshotPluginId { get; set; }

    internal Config ToConfig()
    {
        var lines = new List<string>();
        Add(lines, "store", Store);
        Add(lines, "segments-folder", SegmentsFolder);
        Add(lines, "journal-plugin-id", JournalPluginId);
        Add(lines, "snapshot-plugin-id", SnapshotPluginId);
        return lines.Count == 0 ? Config.Empty : ConfigurationFactory.ParseString(string.Join('\n', lines));
    }

    private static void Add(List<string> lines, string key, string? value)
    {
        if (value is not null)
            lines.Add($"checkpoint.{key} = \"{value.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"");
    }
}

/// <summary>The engine for hosts that build their actor system with Akka.Hosting.</summary>
public static class CheckpointHostingExtensions
{
    /// <summary>
    /// Opens the engine when the actor system starts. The journal and the snapshot store are configured beside it, by
    /// <c>WithSqlPersistence</c> for instance; settings that are not given come from the configuration.
    /// </summary>
    public static AkkaConfigurationBuilder WithCheckpointEngine(this AkkaConfigurationBuilder builder, Action<CheckpointEngineOptions>? configure = null)
    {
        var options = new CheckpointEngineOptions();
        configure?.Invoke(options);
        var config = options.ToConfig();
        if (!config.IsEmpty)
            builder.AddHocon(config, HoconAddMode.Prepend);
        return builder
            .AddHocon(CheckpointExtension.DefaultConfig(), HoconAddMode.Append)
            .WithActors((system, registry) => registry.Register<CheckpointEngineActor>(CheckpointExtension.Get(system).Actor));
    }
}
