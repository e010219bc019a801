using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Restoring;

/// <summary>
/// The memory of a checkpoint as the source of a machine's. Its files are open from before the guest runs until all has come: what
/// a prune removes meanwhile stays readable.
/// </summary>
internal sealed class StoredPages(StoredMemory stored) : IPageSource
{
    public bool HasData(ulong guestAddress, ulong length)
    {
        for (var left = length / MemoryRegion.PageBytes; left > 0;)
        {
            var run = stored.Find(guestAddress);
            if (run.Content == PageContent.Data)
                return true;
            var pages = Math.Min(left, (ulong)run.Pages);
            guestAddress += pages * MemoryRegion.PageBytes;
            left -= pages;
        }

        return false;
    }

    public void Read(ulong guestAddress, Span<byte> destination) => stored.Read(guestAddress, destination);

    public void Dispose() => stored.Dispose();
}
