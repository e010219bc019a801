using System.CommandLine;
using Checkpoint.Cli.Commands;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Cli.Machines;

/// <summary>The option <c>--policy</c>: which registers may differ from the checkpoint's.</summary>
internal sealed class PolicyOption
{
    private const int NamesShown = 12;

    public Option<string?> Option { get; } = new("--policy")
    {
        Description = "A register policy's file: which registers may be missing or differ from the checkpoint's; otherwise none but clocks and counters",
        HelpName = "FILE",
    };

    private bool IsGiven(ParseResult parsed) => parsed.GetResult(Option) is { Implicit: false };

    /// <summary>The policy that was named, or the strict one.</summary>
    /// <exception cref="RegisterPolicyException">The file is no policy.</exception>
    public RegisterPolicy Read(ParseResult parsed) =>
        parsed.GetValue(Option) is { } path ? RegisterPolicyFile.Load(path) : RegisterPolicy.Strict;

    /// <summary>Tells which registers a policy that somebody wrote let differ. Under the strict one these are clocks and counters alone.</summary>
    public void Report(Invocation invocation, string policy, IReadOnlyList<string> leniences)
    {
        if (!IsGiven(invocation.Parsed) || leniences.Count == 0)
            return;
        var more = leniences.Count > NamesShown ? $" and {leniences.Count - NamesShown} more, which --json names" : "";
        invocation.Progress.Say($"The policy '{policy}' let differ: {string.Join(", ", leniences.Take(NamesShown))}{more}.");
    }
}
