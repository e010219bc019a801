using System.CommandLine;
using System.Text.Json.Serialization.Metadata;
using Checkpoint.Actors;
using Checkpoint.Cli.Output;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary>One call of a command: what was typed, and where the answer goes.</summary>
internal sealed class Invocation
{
    private readonly GlobalOptions _global;

    public Invocation(ParseResult parsed, GlobalOptions global, Surroundings around)
    {
        _global = global;
        Parsed = parsed;
        Around = around;
        IsJson = parsed.GetValue(global.Json);
        Progress = new ProgressLine(around.Error, around.ErrorIsTerminal, around.Time);
    }

    public ParseResult Parsed { get; }

    public Surroundings Around { get; }

    /// <summary>Whether a program reads the answer.</summary>
    public bool IsJson { get; }

    public ProgressLine Progress { get; }

    public TimeProvider Time => Around.Time;

    /// <summary>The store that is meant.</summary>
    public StoreOptions Store => _global.StoreOf(Parsed, Around);

    /// <summary>Opens the store for reading; nothing is created.</summary>
    /// <exception cref="StoreException">There is none, or it cannot be read.</exception>
    public CheckpointEngine OpenToRead() => CheckpointEngine.Open(Store with { ReadOnly = true }, Time);

    /// <summary>Opens the store for writing; it is created where it is missing.</summary>
    /// <param name="faults">What is to go wrong in it; null for nothing.</param>
    /// <exception cref="StoreException">It cannot be used.</exception>
    public CheckpointEngine OpenToWrite(FaultPlan? faults = null) => CheckpointEngine.Open(Store with { Faults = faults }, Time);

    /// <summary>Writes one object as one line.</summary>
    public void WriteJson<T>(T line, JsonTypeInfo<T> type) => JsonLine.Write(Around.Out, line, type);

    /// <summary>Writes a table for a person.</summary>
    public void WriteTable(TextTable table) => table.WriteTo(Around.Out);

    /// <summary>Writes one line for a person.</summary>
    public void WriteText(string line)
    {
        Around.Out.WriteLine(line);
        Around.Out.Flush();
    }
}
