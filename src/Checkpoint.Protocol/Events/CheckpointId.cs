using System.Globalization;

namespace Checkpoint.Protocol.Events;

/// <summary>The identity of one checkpoint: 16 random bytes, written as 32 hex digits.</summary>
/// <param name="Value">The bytes as a number; the first two hex digits are its most significant byte.</param>
public readonly record struct CheckpointId(UInt128 Value)
{
    private const int Digits = 32;

    /// <summary>Reads 32 hex digits.</summary>
    /// <exception cref="FormatException">The text is something else.</exception>
    public static CheckpointId Parse(string text) =>
        text.Length == Digits
            ? new CheckpointId(UInt128.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture))
            : throw new FormatException($"A checkpoint's id has {Digits} hex digits, not {text.Length}.");

    /// <summary>32 lower-case hex digits.</summary>
    public override string ToString() => Value.ToString("x32", CultureInfo.InvariantCulture);
}
