using System.CommandLine;
using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Protocol.History;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint diff</c>.</summary>
internal sealed class DiffCommand : Verb
{
    private readonly Argument<CheckpointReference?> _left = TypedOptions.ReferenceArgument(
        "The one checkpoint: VM@latest, VM@12, or the first 8 or more digits of its id", name: "LEFT");

    private readonly Argument<CheckpointReference?> _right = TypedOptions.ReferenceArgument("The other checkpoint; it may be another machine's", name: "RIGHT");

    public DiffCommand(GlobalOptions global, Surroundings around)
        : base(
            "diff",
            "Shows in what two checkpoints differ: registers by name with both values, devices, and pages of memory as ranges. Ends with 0 whether they differ or not.",
            "checkpoint diff a@11 a@12",
            global,
            around)
    {
        Arguments.Add(_left);
        Arguments.Add(_right);
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        await using var engine = invocation.OpenToRead();
        var (left, memoryOfLeft) = await OpenAsync(engine, invocation.Parsed.GetValue(_left)!, cancellationToken).ConfigureAwait(false);
        using var leftMemory = memoryOfLeft;
        var (right, memoryOfRight) = await OpenAsync(engine, invocation.Parsed.GetValue(_right)!, cancellationToken).ConfigureAwait(false);
        using var rightMemory = memoryOfRight;
        var report = new DiffReport(invocation);
        report.Registers([.. StateDifference.Of(left.Document, right.Document)], left.Name, right.Name);
        report.Devices([.. StateDifference.DevicesOf(left.Document, right.Document)]);
        var pages = new MemoryDifference((leftMemory, left.Document.Machine.Memory), (rightMemory, right.Document.Machine.Memory), report.Pages).Compare(cancellationToken);
        report.End(left.Name, right.Name, pages);
        return ExitCode.Done;
    }

    // State and memory in one go: once its segments are open, a checkpoint can be read even if its machine prunes it.
    private static Task<(StoredCheckpoint Stored, StoredMemory Memory)> OpenAsync(CheckpointEngine engine, CheckpointReference reference, CancellationToken cancellationToken) =>
        engine.ReadAsync(
            reference,
            async (vm, found) =>
            {
                var stored = await StoredCheckpoint.LoadAsync(engine, vm, found, cancellationToken).ConfigureAwait(false);
                return (stored, await engine.Store.OpenMemoryAsync(vm, found, cancellationToken).ConfigureAwait(false));
            },
            cancellationToken);
}
