namespace Checkpoint.Protocol.Events;

/// <summary>The end of a stream: what the next append must find.</summary>
/// <param name="SequenceNumber">The last event's number; 0 for a stream without events.</param>
/// <param name="Digest">SHA-256 of the last event's stored bytes; <see cref="Digest.Zero"/> for a stream without events.</param>
public readonly record struct JournalHead(long SequenceNumber, Digest Digest)
{
    /// <summary>A stream without events.</summary>
    public static JournalHead Empty { get; } = new(0, Digest.Zero);
}
