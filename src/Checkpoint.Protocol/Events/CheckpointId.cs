using System.Globalization;

namespace Checkpoint.Protocol.Events;

/// <summary>The identity of one checkpoint: 16 random bytes, written as 32 hex digits.</summary>
/// <param name="Value">The bytes as a number; the first two hex digits are its most significant byte.</param>
public readonly record struct CheckpointId(UInt128 Value)
{
    /// <summary>Reads 32 hex digits.</summary>
    public static CheckpointId Parse(string text) =>
        new(UInt128.Parse(text, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));

    /// <summary>32 lower-case hex digits.</summary>
    public override string ToString() => Value.ToString("x32", CultureInfo.InvariantCulture);
}
