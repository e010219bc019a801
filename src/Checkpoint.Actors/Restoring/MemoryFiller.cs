using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Restoring;

/// <summary>Fills a fresh machine's memory from what is stored. Fresh memory is zero, so zero pages are left untouched.</summary>
internal static class MemoryFiller
{
    private const ulong PieceSize = 2 << 20;

    public static void Fill(StoredMemory stored, IGuestMemory memory, CancellationToken cancellationToken)
    {
        foreach (var region in memory.Regions)
        {
            var end = region.GuestAddress + region.SizeBytes;
            for (var address = region.GuestAddress; address < end;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var run = stored.Find(address);
                var left = end - address;
                var length = (ulong)run.Pages > left / MemoryRegion.PageBytes ? left : (ulong)run.Pages * MemoryRegion.PageBytes;
                if (run.Content == PageContent.Data)
                {
                    length = Math.Min(length, PieceSize);
                    memory.Fill(address, (int)length, (stored, address), static (span, from) => from.stored.Read(from.address, span));
                }

                address += length;
            }
        }
    }
}
