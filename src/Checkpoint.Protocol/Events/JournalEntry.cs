namespace Checkpoint.Protocol.Events;

/// <summary>One event with its place in the stream.</summary>
/// <param name="SequenceNumber">From 1, without gaps.</param>
/// <param name="Previous">SHA-256 of the stored bytes of the event before it; <see cref="Digest.Zero"/> for the first.</param>
/// <param name="Event">What happened.</param>
public sealed record JournalEntry(long SequenceNumber, Digest Previous, MachineEvent Event);
