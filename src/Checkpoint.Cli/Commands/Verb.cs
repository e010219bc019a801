using System.CommandLine;

namespace Checkpoint.Cli.Commands;

/// <summary>One of the program's commands.</summary>
internal abstract class Verb : Command
{
    /// <param name="name">What people type.</param>
    /// <param name="description">What it does, in one sentence or two.</param>
    /// <param name="example">A line that can be typed as it stands.</param>
    /// <param name="global">The options of every command.</param>
    /// <param name="around">What the command finds around it.</param>
    protected Verb(string name, string description, string example, GlobalOptions global, Surroundings around)
        : base(name, description)
    {
        Example = example;
        SetAction((parsed, cancellationToken) => ExecuteAsync(new Invocation(parsed, global, around), cancellationToken));
    }

    /// <summary>A line that can be typed as it stands.</summary>
    public string Example { get; }

    /// <summary>Does it.</summary>
    /// <returns>See <see cref="ExitCode"/>.</returns>
    protected abstract Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken);
}
