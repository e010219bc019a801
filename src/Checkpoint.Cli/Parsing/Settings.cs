using System.Text.Json;
using System.Text.Json.Serialization;

namespace Checkpoint.Cli.Parsing;

/// <summary>The settings file that <c>--config</c> names: JSON, comments and trailing commas allowed.</summary>
internal sealed record Settings
{
    /// <summary>The store's URI.</summary>
    public string? Store { get; init; }

    /// <summary>The folder of the memory segments of that store.</summary>
    public string? Segments { get; init; }

    /// <summary>Reads a settings file.</summary>
    /// <exception cref="CommandException">It cannot be read, or says something that is not known.</exception>
    public static Settings Read(string path)
    {
        try
        {
            using var file = File.OpenRead(path);
            return JsonSerializer.Deserialize(file, SettingsContext.Default.Settings)
                ?? throw CommandException.Usage($"the settings file {path} holds no settings; write an object such as {{\"Store\": \"sqlite:checkpoints.db\"}}");
        }
        catch (JsonException exception)
        {
            var line = exception.LineNumber is { } number ? $", line {number + 1}" : "";
            throw CommandException.Usage($"the settings file {path}{line} cannot be understood; the settings are Store and Segments, both text");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw CommandException.Usage($"the settings file {path} cannot be read: {exception.Message}");
        }
    }
}

/// <summary>How the settings file is read.</summary>
[JsonSourceGenerationOptions(
    ReadCommentHandling = JsonCommentHandling.Skip,
    AllowTrailingCommas = true,
    UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow)]
[JsonSerializable(typeof(Settings))]
internal sealed partial class SettingsContext : JsonSerializerContext;
