using System.CommandLine;
using Checkpoint.Actors;
using Checkpoint.Cli.Commands;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;

namespace Checkpoint.Cli.Machines;

/// <summary>The option <c>--fill</c>: how the memory of a machine that is brought back comes in.</summary>
internal sealed class FillOption
{
    public const string Lazy = "lazy";
    public const string Eager = "eager";

    public Option<string> Option { get; } = TypedOptions.Choice(
        "--fill",
        "How memory comes in: while the guest runs, what it touches first (lazy), or all of it before (eager); auto is lazy on KVM where this host permits it",
        "auto",
        Lazy,
        Eager);

    public MemoryFill Read(ParseResult parsed) => parsed.GetValue(Option) switch
    {
        Lazy => MemoryFill.Lazy,
        Eager => MemoryFill.Eager,
        _ => MemoryFill.Auto,
    };

    /// <summary>How it came in, as options and JSON have it.</summary>
    public static string WordOf(RestoredMachine restored) => restored.Fill == MemoryFill.Lazy ? Lazy : Eager;

    /// <summary>How it came in, in a sentence for a person.</summary>
    public static string Describe(RestoredMachine restored) => restored switch
    {
        { Fill: MemoryFill.Lazy } => "Memory comes in as it is touched.",
        { FillObstacle: { } obstacle } => $"Memory was filled before: {obstacle}.",
        _ => "Memory was filled before.",
    };

    /// <summary>Shows how far memory has come that is filled before the guest runs.</summary>
    public static IProgress<FillProgress> Show(Invocation invocation) => new Shown(invocation);

    private sealed class Shown(Invocation invocation) : IProgress<FillProgress>
    {
        private readonly Lock _gate = new();

        public void Report(FillProgress value)
        {
            lock (_gate)
                invocation.Progress.Report(() => $"Reading memory: {ByteSize.Format(value.DoneBytes)} of {ByteSize.Format(value.TotalBytes)}");
        }
    }
}
