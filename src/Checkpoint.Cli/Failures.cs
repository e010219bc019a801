using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.Cli;

/// <summary>The one place where what went wrong becomes an exit code and a line.</summary>
internal static class Failures
{
    private const int NamesShown = 3;

    /// <summary>The exit code, and the line for standard error.</summary>
    public static (int ExitCode, string Line) Describe(Exception exception)
    {
        var (code, line) = Words(exception);
        return (code, OneLine(line));
    }

    private static (int ExitCode, string Line) Words(Exception exception) => exception switch
    {
        CommandException known => (known.ExitCode, known.Message),
        OperationCanceledException => (ExitCode.Interrupted, "interrupted"),
        GuestMemoryException { InnerException: { } lost } => Words(lost),
        LazyFillRefusedException => (ExitCode.Failed, exception.Message),
        IntegrityException or InvalidHistoryException => (ExitCode.Damaged, exception.Message),
        StoreException { Failure: StoreFailure.NotFound } => (ExitCode.NotFound, exception.Message),
        StoreException { Failure: StoreFailure.BadUri } => (ExitCode.Usage, exception.Message),
        StoreException { Failure: StoreFailure.Damaged } => (ExitCode.Damaged, exception.Message),
        StoreException { Failure: StoreFailure.Full } => (ExitCode.Failed, $"{exception.Message}; with a little room 'checkpoint run --from REF --keep N' prunes the older checkpoints"),
        StoreException => (ExitCode.Failed, exception.Message),
        FaultFileException => (ExitCode.Usage, exception.Message),
        TimeoutException => (ExitCode.Failed, exception.Message),
        RegisterPolicyException => (ExitCode.Usage, exception.Message),
        RestoreRefusedException refused => (ExitCode.Failed, Describe(refused)),
        KvmException => (ExitCode.Failed, $"{exception.Message}; 'checkpoint doctor' shows what this host offers"),
        InvalidDataException or IOException or UnauthorizedAccessException => (ExitCode.Failed, exception.Message),
        OutOfMemoryException => (ExitCode.Failed, "there is not enough memory on this host for the machine and the copy that a checkpoint makes of it; use a smaller --memory"),
        _ => (ExitCode.Failed, $"unexpected {exception.GetType().Name}: {exception.Message}; this is a bug, --debug shows where"),
    };

    private static string Describe(RestoreRefusedException refused)
    {
        // A single one fits into the line with its values, unless it is a whole struct.
        if (refused.Refusals is [{ Wanted.Length: <= sizeof(ulong) } only])
            return $"this host cannot take the checkpoint: 1 register refused ({only}); take another host, or a --policy that lets it differ";
        return $"this host cannot take the checkpoint: {Refused(refused.Refusals)}; 'checkpoint restore REF --check' lists them with their values";
    }

    /// <summary>How many registers were refused, and the names of the first with the error numbers that the kernel gave.</summary>
    internal static string Refused(IReadOnlyList<RegisterRefusal> refusals)
    {
        var names = refusals.Take(NamesShown).Select(refusal =>
            (refusal.Vcpu is { } vcpu ? $"vCPU {vcpu} {refusal.Register}" : $"VM {refusal.Register}") + (refusal.Errno > 0 ? $" with {Errno.NameOf(refusal.Errno)}" : ""));
        var shown = string.Join(", ", names) + (refusals.Count > NamesShown ? ", …" : "");
        return $"{refusals.Count} {(refusals.Count == 1 ? "register" : "registers")} refused ({shown})";
    }

    // A path or a name may hold anything: the line stays one, and nothing in it is obeyed by the terminal.
    private static string OneLine(string message) =>
        string.Concat(message.ReplaceLineEndings(" ").Select(letter => char.IsControl(letter) ? '?' : letter));
}
