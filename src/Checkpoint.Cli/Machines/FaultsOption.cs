using System.CommandLine;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Cli.Machines;

/// <summary>The option <c>--faults</c>: what is to go wrong, so that an operator can rehearse.</summary>
internal sealed class FaultsOption
{
    private const long MostBytes = 1 << 20;

    // Neither the guest's device nor the mark of a simulation has threads of its own.
    private static readonly string[] s_neverMade = [FaultCalls.DevicePark, FaultCalls.DeviceResume];

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
        return path.Length > 0 ? Read(path) : throw CommandException.Usage("--faults names no file: it is empty");
    }

    /// <summary>
    /// Refuses faults about a vCPU that the machine does not have, and those at calls that are made on devices of another kind than the program's
    /// own: they would never be met, and the rehearsal show nothing.
    /// </summary>
    /// <exception cref="FaultFileException">There is such a fault.</exception>
    public void RequireSuited(ParseResult parsed, FaultPlan? faults, int vcpus)
    {
        foreach (var rule in faults?.Rules ?? [])
        {
            if (rule.When.Vcpu >= vcpus)
                throw Unsuited(rule.Places!.Vcpu, $"a fault at {rule.When.Call} is about vCPU {rule.When.Vcpu}, and the machine has {vcpus}; write one from 0 to {vcpus - 1}");
            if (rule.Calls.All(s_neverMade.Contains))
                throw Unsuited(rule.Places!.Call, $"{rule.When.Call} is never called here, because the program's own devices have no threads to park; write {FaultCalls.DeviceCapture}, or leave the fault out");
        }

        FaultFileException Unsuited((int Line, int Column) place, string what) => new(parsed.GetValue(Option)!, place.Line, place.Column, what);
    }

    private static FaultPlan Read(string path)
    {
        try
        {
            if (Directory.Exists(path))
                throw CommandException.Usage($"{path}: the faults cannot be read: it is a folder; name a file of faults");
            if (!File.Exists(path))
                throw CommandException.Usage($"{path}: the faults cannot be read: there is no such file; name a file of faults, such as config/faults.json");
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
