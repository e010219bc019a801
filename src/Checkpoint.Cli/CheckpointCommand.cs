using System.CommandLine;
using System.CommandLine.Invocation;
using System.CommandLine.Parsing;
using Checkpoint.Cli.Commands;

namespace Checkpoint.Cli;

/// <summary>The whole command: reads the command line, runs what it names, and ends with an exit code.</summary>
internal static class CheckpointCommand
{
    private const string DebugVariable = "CHECKPOINT_DEBUG";

    private static readonly TimeSpan s_lastWords = TimeSpan.FromSeconds(2);

    /// <summary>Runs one command with the system's clock, KVM and environment.</summary>
    /// <param name="args">The command line without the program's name.</param>
    /// <param name="stdout">Takes results.</param>
    /// <param name="stderr">Takes progress and the line that says what failed.</param>
    /// <param name="cancellationToken">Asks the command to stop cleanly.</param>
    /// <returns>See <see cref="ExitCode"/>.</returns>
    public static Task<int> RunAsync(IReadOnlyList<string> args, TextWriter stdout, TextWriter stderr, CancellationToken cancellationToken = default) =>
        RunAsync(args, new Surroundings(stdout, stderr), cancellationToken);

    /// <summary>Runs one command.</summary>
    /// <param name="args">The command line without the program's name.</param>
    /// <param name="around">What the command finds around it.</param>
    /// <param name="cancellationToken">Asks the command to stop cleanly.</param>
    /// <returns>See <see cref="ExitCode"/>.</returns>
    public static async Task<int> RunAsync(IReadOnlyList<string> args, Surroundings around, CancellationToken cancellationToken = default)
    {
        var global = new GlobalOptions();
        // Arguments that begin with @ are no response files here: people type references with an @ in them.
        var parsed = Build(global, around).Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        try
        {
            if (parsed.Errors.Count > 0 && parsed.Action is null or ParseErrorAction)
                throw CommandException.Usage(UsageErrorOf(parsed));
            var invocation = new InvocationConfiguration
            {
                Output = around.Out,
                Error = around.Error,
                EnableDefaultExceptionHandler = false,
                ProcessTerminationTimeout = null, // Signals are the program's own business: a round in flight takes its time.
            };
            return await parsed.InvokeAsync(invocation, cancellationToken).ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            var (exitCode, line) = Failures.Describe(exception);
            var isDebugged = exitCode != ExitCode.Usage && (parsed.GetValue(global.Debug) || !string.IsNullOrEmpty(around.Variable(DebugVariable)));
            // Not for ever: the command must end even where nobody takes its last words.
            var saying = Task.Run(() => around.Error.Write($"checkpoint: {line}\n{(isDebugged ? exception + "\n" : "")}"), CancellationToken.None);
            await Task.WhenAny(saying, Task.Delay(s_lastWords, around.Time, CancellationToken.None)).ConfigureAwait(false);
            return exitCode;
        }
    }

    private static string UsageErrorOf(ParseResult parsed)
    {
        var command = parsed.CommandResult.Command is RootCommand ? "checkpoint" : "checkpoint " + parsed.CommandResult.Command.Name;
        // What the product's own notations say of a value helps most; the first error is as a rule a consequence of it.
        var error = parsed.Errors.FirstOrDefault(each => each.SymbolResult is ArgumentResult or OptionResult) ?? parsed.Errors[0];
        var message = error.SymbolResult is CommandResult && parsed.UnmatchedTokens is [var token, ..]
            ? $"'{token}' is no command, option or argument that is known here"
            : error.Message.TrimEnd('.');
        return $"{message}; see '{command} --help'";
    }

    private static RootCommand Build(GlobalOptions global, Surroundings around)
    {
        var root = new RootCommand("Saves running KVM virtual machines as durable checkpoints, and brings them back. Begin with: checkpoint demo")
        {
            new DoctorCommand(global, around),
            new DemoCommand(global, around),
            new RunCommand(global, around),
            new RestoreCommand(global, around),
            new ListCommand(global, around),
            new ShowCommand(global, around),
            new DiffCommand(global, around),
            new VerifyCommand(global, around),
        };
        global.AddTo(root);
        CommandHelp.AddTo(root);
        return root;
    }
}
