using Checkpoint.Actors;
using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Commands;

/// <summary>Builds a checkpoint's machine only to see what this host refuses, and throws it away.</summary>
internal sealed class RestoreCheck(Invocation invocation, CheckpointEngine engine, IKvm kvm)
{
    /// <returns>See <see cref="ExitCode"/>.</returns>
    public async Task<int> RunAsync(CheckpointReference reference, ClockPolicy clock, CancellationToken cancellationToken)
    {
        var (vm, checkpoint) = await engine.FindAsync(reference, cancellationToken).ConfigureAwait(false);
        var found = new CheckpointReference.Numbered(vm, checkpoint.Number);
        var document = await engine.Store.LoadAsync(vm, checkpoint, cancellationToken).ConfigureAwait(false);
        IReadOnlyList<RegisterRefusal> refusals = [];
        try
        {
            using var restored = await engine.RestoreAsync(kvm, found, clock, cancellationToken: cancellationToken).ConfigureAwait(false);
        }
        catch (RestoreRefusedException refused)
        {
            refusals = refused.Refusals;
        }

        Report(new CheckLine(vm, checkpoint.Number, document.Vcpus.Length, refusals.Count == 0, [.. refusals.Select(RefusedLine.Of)]));
        return refusals.Count == 0
            ? ExitCode.Done
            : throw CommandException.Failed($"this host cannot restore {found}: registers refused: {refusals.Count}");
    }

    private void Report(CheckLine line)
    {
        if (invocation.IsJson)
        {
            invocation.WriteJson(line, LineContext.Default.CheckLine);
            return;
        }

        if (line.Ok)
        {
            invocation.WriteText($"This host takes {line.Vm}@{line.Checkpoint}: every register of its {line.Vcpus} vCPUs was set and read back the same.");
            return;
        }

        var table = new TextTable("of", "register", "wanted", "found", "error");
        foreach (var refused in line.Refused)
            table.Add(refused.Vcpu is { } vcpu ? $"vCPU {vcpu}" : "VM", refused.Register, Short(refused.Wanted), Short(refused.Found), refused.ErrnoName ?? "-");
        invocation.WriteTable(table);
    }

    // A whole structure does not fit into a table; --json has all of it.
    private static string Short(string? value) => value switch
    {
        null => "-",
        { Length: > 66 } => value[..64] + "…",
        _ => value,
    };
}
