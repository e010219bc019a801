using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Commands;

/// <summary>Builds a checkpoint's machine only to see what this host refuses, and throws it away.</summary>
internal sealed class RestoreCheck(Invocation invocation, CheckpointEngine engine, Kernel kernel, PolicyOption policies)
{
    /// <returns>See <see cref="ExitCode"/>.</returns>
    public async Task<int> RunAsync(CheckpointReference reference, RegisterPolicy policy, ClockPolicy clock, CancellationToken cancellationToken)
    {
        var (vm, checkpoint, document) = await StoredCheckpoint.LoadAsync(engine, reference, cancellationToken).ConfigureAwait(false);
        var found = new CheckpointReference.Numbered(vm, checkpoint.Number);
        IReadOnlyList<RegisterRefusal> refusals = [];
        IReadOnlyList<string> leniences = [];
        try
        {
            // All of the memory too: what is damaged is to be told before anybody depends on it.
            var options = new RestoreOptions { Policy = policy, Clock = clock, Batching = kernel.Batching, Fill = MemoryFill.Eager, Progress = FillOption.Show(invocation) };
            using var restored = await engine.RestoreAsync(kernel.Kvm, found, options, cancellationToken).ConfigureAwait(false);
            leniences = restored.Leniences;
        }
        catch (RestoreRefusedException refused)
        {
            refusals = refused.Refusals;
        }
        finally
        {
            invocation.Progress.Clear();
        }

        policies.Report(invocation, policy.Name, leniences);
        Report(new CheckLine(
            vm, checkpoint.Number, document.Vcpus.Length, refusals.Count == 0, kernel.Kind, Words.Of(kernel.Architecture), policy.Name, leniences, [.. refusals.Select(RefusedLine.Of)]));
        return refusals.Count == 0
            ? ExitCode.Done
            : throw CommandException.Failed($"this host cannot restore {found}: {Failures.Refused(refusals)}");
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
            invocation.WriteText($"This host takes {line.Vm}@{line.Checkpoint}: every register of its {line.Vcpus} vCPUs was set and read back the same{Excepted(line)}.");
            return;
        }

        var table = new TextTable("of", "register", "wanted", "found", "error");
        foreach (var refused in line.Refused)
            table.Add(refused.Vcpu is { } vcpu ? $"vCPU {vcpu}" : "VM", refused.Register, Short(refused.Wanted), Short(refused.Found), Error(refused));
        invocation.WriteTable(table);
    }

    private static string Excepted(CheckLine line) =>
        line.Policy == RegisterPolicy.Strict.Name || line.Leniences.Count == 0 ? "" : $", but for those that the policy '{line.Policy}' lets differ";

    private static string Error(RefusedLine refused)
    {
        var bits = refused.Bits is { Count: > 0 } numbers ? $" ({(numbers.Count == 1 ? "bit" : "bits")} {string.Join(", ", numbers)})" : "";
        var batch = refused.BatchSize is { } size ? $"; {refused.BatchWritten} of {size} written" : "";
        if (refused.ErrnoName is { } name)
            return name + bits + batch;
        return (refused.Wanted, refused.Found) switch
        {
            (null, _) => "not in the checkpoint",
            (_, null) => "not on this host",
            _ => "-",
        };
    }

    // A whole structure does not fit into a table; --json has all of it.
    private static string Short(string? value) => value switch
    {
        null => "-",
        { Length: > 66 } => value[..64] + "…",
        _ => value,
    };
}
