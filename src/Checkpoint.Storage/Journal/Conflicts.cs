namespace Checkpoint.Storage.Journal;

/// <summary>The words of a conflict, the same whatever the provider.</summary>
internal static class Conflicts
{
    public static string Describe(JournalAppend append, long found) => found == append.Expected.SequenceNumber
        ? $"event {found} of the machine '{append.Vm}' is not the one that this writer knows; somebody else wrote to its stream"
        : $"the stream of the machine '{append.Vm}' ends at event {found}, not at {append.Expected.SequenceNumber}; somebody else wrote to it";
}
