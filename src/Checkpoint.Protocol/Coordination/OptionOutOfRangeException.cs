namespace Checkpoint.Protocol.Coordination;

/// <summary>An option was given a value that it cannot have. The message is one line: which option, what was found, what to write.</summary>
/// <param name="option">The option's name.</param>
/// <param name="found">What was given, as text.</param>
/// <param name="allowed">What may be given, as text that follows "write".</param>
public sealed class OptionOutOfRangeException(string option, string found, string allowed) : ArgumentOutOfRangeException(option)
{
    /// <summary>The option's name.</summary>
    public string Option { get; } = option;

    /// <summary>What may be given, as text that follows "write".</summary>
    public string Allowed { get; } = allowed;

    /// <inheritdoc/>
    public override string Message { get; } = $"{option} = {found}: write {allowed}";
}
