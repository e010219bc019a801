using System.Globalization;
using System.Security.Cryptography;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.MemoryLedger;

/// <summary>
/// Takes the SHA-256 of every page while the guest is paused, all of them each time, by reading the memory itself: it knows
/// nothing of dirty pages, of copies made before the pause, or of what a segment holds.
/// </summary>
internal sealed class ReferenceMemory(IGuestMemory memory) : IDeviceState
{
    private const int DigestBytes = SHA256.HashSizeInBytes;
    private const int PieceBytes = 1 << 20;
    private const int PageBytes = MemoryRegion.PageBytes;

    private byte[]? _last;

    public string Name => "reference";

    /// <summary>Nothing of it belongs into the checkpoint: who restores one must not be able to compare it with itself.</summary>
    public ReadOnlyMemory<byte> Capture()
    {
        _last = DigestsOf(memory);
        return ReadOnlyMemory<byte>.Empty;
    }

    /// <summary>The digests of the last pause, one page's behind the other in the order of guest addresses.</summary>
    public byte[] Take() => Interlocked.Exchange(ref _last, null) ?? throw new InvalidOperationException("No checkpoint was captured.");

    /// <summary>The pages that are not as they were, each in a sentence; the first few of them.</summary>
    /// <param name="memory">A restored machine's memory.</param>
    /// <param name="digests">What its pages were.</param>
    /// <param name="from">The first address that is compared.</param>
    public static IEnumerable<string> Differences(IGuestMemory memory, byte[] digests, ulong from = 0)
    {
        var found = DigestsOf(memory);
        if (found.Length != digests.Length)
            yield return $"the memory has {found.Length / DigestBytes} pages, not {digests.Length / DigestBytes}";
        var place = 0;
        foreach (var region in memory.Regions)
        {
            for (var address = region.GuestAddress; address < region.GuestAddress + region.SizeBytes; address += PageBytes, place += DigestBytes)
            {
                var (expected, actual) = (digests.AsMemory(place, DigestBytes), found.AsMemory(place, DigestBytes));
                if (address < from || expected.Span.SequenceEqual(actual.Span))
                    continue;
                var beginning = new byte[16];
                memory.Read(address, beginning);
                yield return string.Create(
                    CultureInfo.InvariantCulture,
                    $"the page at 0x{address:x} is not as it was: sha256 {Convert.ToHexStringLower(expected.Span[..8])}… expected, {Convert.ToHexStringLower(actual.Span[..8])}… found, it begins with {Convert.ToHexStringLower(beginning)}");
            }
        }
    }

    private static byte[] DigestsOf(IGuestMemory memory)
    {
        var digests = new byte[memory.Regions.Sum(region => (long)(region.SizeBytes / PageBytes)) * DigestBytes];
        var piece = GC.AllocateUninitializedArray<byte>(PieceBytes);
        var place = 0;
        foreach (var region in memory.Regions)
        {
            for (var offset = 0UL; offset < region.SizeBytes; offset += PieceBytes)
            {
                var bytes = piece.AsSpan(0, (int)Math.Min(PieceBytes, region.SizeBytes - offset));
                memory.Read(region.GuestAddress + offset, bytes);
                for (var page = 0; page < bytes.Length; page += PageBytes, place += DigestBytes)
                    SHA256.HashData(bytes.Slice(page, PageBytes), digests.AsSpan(place, DigestBytes));
            }
        }

        return digests;
    }
}
