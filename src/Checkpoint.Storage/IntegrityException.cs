using System.Text;

namespace Checkpoint.Storage;

/// <summary>Something stored is damaged: it is not what was written, or it is gone. The message is one line.</summary>
public sealed class IntegrityException : Exception
{
    /// <summary>Tells of a damage.</summary>
    /// <param name="vm">The machine whose part it is.</param>
    /// <param name="part">Which part: <c>journal</c>, <c>snapshot</c>, <c>state document</c> or <c>segment NAME</c>.</param>
    /// <param name="what">What is wrong with it.</param>
    /// <param name="sequenceNumber">The event's number in the stream, where the damage is in the journal.</param>
    /// <param name="checkpoint">The checkpoint's number, where the part belongs to one.</param>
    /// <param name="inner">What the reader of the part said, where it said something.</param>
    public IntegrityException(
        string vm,
        string part,
        string what,
        long? sequenceNumber = null,
        long? checkpoint = null,
        Exception? inner = null)
        : base(Describe(vm, part, what, sequenceNumber, checkpoint), inner)
    {
        Vm = vm;
        Part = part;
        What = what;
        SequenceNumber = sequenceNumber;
        Checkpoint = checkpoint;
    }

    /// <summary>The machine whose part is damaged.</summary>
    public string Vm { get; }

    /// <summary>Which part: <c>journal</c>, <c>snapshot</c>, <c>state document</c> or <c>segment NAME</c>.</summary>
    public string Part { get; }

    /// <summary>What is wrong with it.</summary>
    public string What { get; }

    /// <summary>The event's number in the stream, where the damage is in the journal.</summary>
    public long? SequenceNumber { get; }

    /// <summary>The checkpoint's number, where the part belongs to one.</summary>
    public long? Checkpoint { get; }

    private static string Describe(string vm, string part, string what, long? sequenceNumber, long? checkpoint)
    {
        var text = new StringBuilder("machine '").Append(vm).Append('\'');
        if (checkpoint is { } number)
            text.Append(", checkpoint ").Append(number);
        text.Append(", ").Append(part);
        if (sequenceNumber is { } sequence)
            text.Append(", event ").Append(sequence);
        return text.Append(" is damaged: ").Append(what).ToString().ReplaceLineEndings(" ");
    }
}
