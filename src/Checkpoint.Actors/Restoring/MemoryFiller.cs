using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Restoring;

/// <summary>Fills a fresh machine's memory from a segment. Fresh memory is zero, so zero pages are left untouched.</summary>
internal static class MemoryFiller
{
    private const int PieceSize = 2 << 20;

    public static void Fill(SegmentReader segment, IGuestMemory memory, CancellationToken cancellationToken)
    {
        foreach (var run in segment.Runs)
        {
            if (run.Content != PageContent.Data)
                continue;
            var end = run.GuestAddress + ((ulong)run.Pages * MemoryRegion.PageBytes);
            for (var address = run.GuestAddress; address < end;)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var length = (int)Math.Min(PieceSize, end - address);
                memory.Fill(address, length, (segment, address), static (span, from) => from.segment.Read(from.address, span));
                address += (ulong)length;
            }
        }
    }
}
