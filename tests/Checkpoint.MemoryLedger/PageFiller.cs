using System.Buffers.Binary;

namespace Checkpoint.MemoryLedger;

/// <summary>What pages are filled with: noise, text that compresses, one value, or zeros; never the same page twice but for zeros.</summary>
internal static class PageFiller
{
    private const int Kinds = 5;
    private const int WordsApart = 16;

    public static void Fill(Random random, Span<byte> bytes)
    {
        bytes.Clear();
        switch (random.Next(Kinds))
        {
            case 0 or 1:
                random.NextBytes(bytes);
                break;
            case 2 or 3:
                // A word in every 16 bytes: as a heap has them, pointers that lie close together.
                var value = random.NextInt64();
                for (var at = 0; at + sizeof(long) <= bytes.Length; at += WordsApart)
                    BinaryPrimitives.WriteInt64LittleEndian(bytes[at..], value + (at / 64));
                break;
            default:
                break;
        }
    }
}
