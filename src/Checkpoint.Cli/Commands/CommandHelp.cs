using System.CommandLine;
using System.CommandLine.Help;
using System.CommandLine.Invocation;

namespace Checkpoint.Cli.Commands;

/// <summary>The help of a command, with an example behind it; the help of the whole program with notations and exit codes.</summary>
internal sealed class CommandHelp(HelpAction usual) : SynchronousCommandLineAction
{
    private const string Notations =
        """
        Notations:
          REF   a checkpoint: VM@latest, VM@12, or the first 8 or more digits of its id
          SIZE  a whole number with KiB, MiB, GiB or TiB, or alone for bytes: 64MiB
          D     a number with ms, s, m or h: 100ms, 1.5s, 5m

        Exit codes:
          0 done, 1 failed, 2 usage, 3 something stored is damaged, 4 no such machine or checkpoint, 130 interrupted
        """;

    /// <inheritdoc/>
    public override int Invoke(ParseResult parseResult)
    {
        var result = usual.Invoke(parseResult);
        var output = parseResult.InvocationConfiguration.Output;
        output.WriteLine(parseResult.CommandResult.Command is Verb verb ? $"Example:\n  {verb.Example}" : Notations.ReplaceLineEndings("\n"));
        return result;
    }

    /// <summary>Puts itself in the place of the usual help.</summary>
    public static void AddTo(RootCommand root)
    {
        foreach (var option in root.Options.OfType<HelpOption>())
            option.Action = new CommandHelp((HelpAction)option.Action!);
    }
}
