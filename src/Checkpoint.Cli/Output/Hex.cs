namespace Checkpoint.Cli.Output;

/// <summary>Register values as people read them.</summary>
internal static class Hex
{
    /// <summary>The longest register: 64 bytes. What is longer is a structure, not a number.</summary>
    private const int LongestNumber = 64;

    /// <summary>
    /// Registers are stored little endian; as a number the most significant digit stands first. A structure is shown byte by
    /// byte as it is stored, without the 0x.
    /// </summary>
    public static string Of(ReadOnlySpan<byte> value)
    {
        if (value.Length > LongestNumber)
            return Convert.ToHexStringLower(value);
        Span<byte> reversed = stackalloc byte[value.Length];
        value.CopyTo(reversed);
        reversed.Reverse();
        return "0x" + Convert.ToHexStringLower(reversed);
    }

    public static string Of(ulong value) => $"0x{value:x}";
}
