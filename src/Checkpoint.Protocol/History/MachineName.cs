using System.Diagnostics.CodeAnalysis;

namespace Checkpoint.Protocol.History;

/// <summary>
/// The name of a machine: 1 to 64 of <c>a-z A-Z 0-9 . _ -</c>, not beginning with a dot. It is part of file names and of the
/// stream's id <c>vm-NAME</c>, so nothing else is let in.
/// </summary>
public static class MachineName
{
    /// <summary>The longest name, in characters.</summary>
    public const int MaxLength = 64;

    /// <summary>What a machine's stream is called in the journal (persistence_id).</summary>
    public static string StreamOf(string vm) => "vm-" + vm;

    /// <summary>Whether the text is a machine's name; where it is not, one line that says why.</summary>
    public static bool IsValid(string? text, [NotNullWhen(false)] out string? reason)
    {
        reason = text switch
        {
            null or "" => "a machine needs a name",
            { Length: > MaxLength } => $"a machine's name has at most {MaxLength} characters",
            ['.', ..] => "a machine's name does not begin with a dot",
            _ when !text.All(IsAllowed) => $"'{text}' is not a machine's name: use letters, digits, '.', '_' and '-'",
            _ => null,
        };
        return reason is null;
    }

    private static bool IsAllowed(char character) => char.IsAsciiLetterOrDigit(character) || character is '.' or '_' or '-';
}
