namespace Checkpoint.Cli;

/// <summary>A command ends here, for a reason that it knows.</summary>
/// <param name="exitCode">What the shell is told, see <see cref="Cli.ExitCode"/>.</param>
/// <param name="message">One line: what, where and what to do.</param>
internal sealed class CommandException(int exitCode, string message) : Exception(message)
{
    public int ExitCode { get; } = exitCode;

    /// <summary>What was typed makes no sense.</summary>
    public static CommandException Usage(string message) => new(Cli.ExitCode.Usage, message);

    /// <summary>The operation failed.</summary>
    public static CommandException Failed(string message) => new(Cli.ExitCode.Failed, message);
}
