using System.CommandLine;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Cli.Machines;

/// <summary>The option <c>--faults</c>: what is to go wrong, so that an operator can rehearse.</summary>
internal sealed class FaultsOption
{
    private const long MostBytes = 1 << 20;

    public Option<string?> Option { get; } = new("--faults")
    {
        Description = "A file of faults to inject, to rehearse with; config/faults.json is a sample",
        HelpName = "FILE",
    };

    /// <summary>The faults that were named, or null.</summary>
    /// <exception cref="CommandException">The file cannot be read.</exception>
    /// <exception cref="FaultFileException">The file is no list of faults.</exception>
    public FaultPlan? Read(ParseResult parsed)
    {
        if (parsed.GetValue(Option) is not { } path)
            return null;
        try
        {
            // A pipe or a device has no length, and reading it may never end.
            if (new FileInfo(path).Length is 0 or > MostBytes)
                throw CommandException.Usage($"{path}: the faults are empty, no ordinary file, or larger than 1 MiB; name another file");
            return FaultFile.Parse(File.ReadAllText(path), path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw CommandException.Usage($"{path}: the faults cannot be read: {failure.Message}");
        }
    }
}
