using System.Security.Cryptography;

namespace Checkpoint.Protocol.Events;

/// <summary>A SHA-256 digest.</summary>
public readonly struct Digest : IEquatable<Digest>
{
    /// <summary>Its size in bytes.</summary>
    public const int SizeBytes = 32;

    private readonly ReadOnlyMemory<byte> _bytes;

    private Digest(ReadOnlyMemory<byte> bytes) => _bytes = bytes;

    /// <summary>32 zero bytes: what the first event of a stream names as the one before it.</summary>
    public static Digest Zero { get; } = new(new byte[SizeBytes]);

    /// <summary>The 32 bytes.</summary>
    public ReadOnlySpan<byte> Bytes => _bytes.IsEmpty ? Zero._bytes.Span : _bytes.Span;

    /// <summary>The digest of the bytes.</summary>
    public static Digest Of(ReadOnlySpan<byte> content) => new(SHA256.HashData(content));

    /// <summary>Takes 32 bytes as a digest.</summary>
    /// <exception cref="ArgumentException">The length is another.</exception>
    public static Digest From(ReadOnlySpan<byte> bytes) =>
        bytes.Length == SizeBytes
            ? new Digest(bytes.ToArray())
            : throw new ArgumentException($"A SHA-256 digest has {SizeBytes} bytes, not {bytes.Length}.", nameof(bytes));

    /// <inheritdoc/>
    public bool Equals(Digest other) => Bytes.SequenceEqual(other.Bytes);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Digest other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => BitConverter.ToInt32(Bytes);

    /// <summary>64 lower-case hex digits.</summary>
    public override string ToString() => Convert.ToHexStringLower(Bytes);

    /// <summary>Whether both digests are the same.</summary>
    public static bool operator ==(Digest left, Digest right) => left.Equals(right);

    /// <summary>Whether the digests differ.</summary>
    public static bool operator !=(Digest left, Digest right) => !left.Equals(right);
}
