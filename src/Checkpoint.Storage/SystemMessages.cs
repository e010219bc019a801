namespace Checkpoint.Storage;

/// <summary>What the system says of a failure, made to fit into a line of ours.</summary>
internal static class SystemMessages
{
    /// <summary>The message without the period at its end, as ours go on behind it.</summary>
    public static string Of(Exception exception) => exception.Message.TrimEnd('.', ' ');
}
