namespace Checkpoint.Protocol.History;

/// <summary>A stream holds an event that cannot follow the ones before it: something stored is damaged.</summary>
/// <param name="message">Which event, and why.</param>
public sealed class InvalidHistoryException(string message) : Exception(message);
