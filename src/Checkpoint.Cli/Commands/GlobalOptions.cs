using System.CommandLine;
using Checkpoint.Cli.Parsing;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary>The options that every command has.</summary>
internal sealed class GlobalOptions
{
    /// <summary>The environment's variable that names the store.</summary>
    public const string StoreVariable = "CHECKPOINT_STORE";

    public Option<string?> Store { get; } = new("--store")
    {
        Description = $"The store: sqlite:PATH. Else ${StoreVariable}, else the settings file, else {StoreUri.Default}",
        HelpName = "URI",
        Recursive = true,
    };

    public Option<string?> Segments { get; } = new("--segments")
    {
        Description = "The folder of the memory segments. Else the settings file's, else PATH.d",
        HelpName = "DIR",
        Recursive = true,
    };

    public Option<string?> Config { get; } = new("--config")
    {
        Description = "A settings file: JSON with Store and Segments",
        HelpName = "FILE",
        Recursive = true,
    };

    public Option<bool> Json { get; } = new("--json")
    {
        Description = "One JSON object a line on standard output, and nothing else there",
        Recursive = true,
    };

    public Option<bool> Debug { get; } = new("--debug")
    {
        Description = "Show the stack of an error",
        Recursive = true,
    };

    public void AddTo(RootCommand root)
    {
        root.Options.Add(Store);
        root.Options.Add(Segments);
        root.Options.Add(Config);
        root.Options.Add(Json);
        root.Options.Add(Debug);
    }

    /// <summary>Which store is meant.</summary>
    /// <exception cref="CommandException">The settings file cannot be read.</exception>
    public StoreOptions StoreOf(ParseResult parsed, Surroundings around)
    {
        var settings = parsed.GetValue(Config) is { } file ? Settings.Read(file) : new Settings();
        var named = NotEmpty(parsed.GetValue(Store)) ?? NotEmpty(around.Variable(StoreVariable));
        // A folder of segments belongs to its store: the file's is not for a store that was named elsewhere.
        var ofFile = named is null || settings.Store is null || settings.Store == named ? NotEmpty(settings.Segments) : null;
        return new StoreOptions(named ?? NotEmpty(settings.Store), NotEmpty(parsed.GetValue(Segments)) ?? ofFile);
    }

    private static string? NotEmpty(string? text) => string.IsNullOrEmpty(text) ? null : text;
}
