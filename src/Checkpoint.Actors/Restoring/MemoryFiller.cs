using System.Runtime.ExceptionServices;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Actors.Restoring;

/// <summary>
/// Fills a fresh machine's memory from what is stored, all of it before anything runs. Fresh memory is zero, so zero pages are left
/// untouched. Much memory is read by two threads: one reads while the other checks.
/// </summary>
internal sealed class MemoryFiller(StoredMemory stored, IGuestMemory memory, IProgress<FillProgress>? progress, CancellationToken cancellationToken)
{
    private const ulong PieceBytes = 2 << 20;
    private const long BytesOfOneThread = 64 << 20;

    private readonly List<(ulong Address, int Length)> _pieces = [];
    private int _next;
    private long _totalBytes;
    private long _doneBytes;
    private Exception? _failure;

    public static void Fill(StoredMemory stored, IGuestMemory memory, IProgress<FillProgress>? progress, CancellationToken cancellationToken) =>
        new MemoryFiller(stored, memory, progress, cancellationToken).Fill();

    private void Fill()
    {
        foreach (var region in memory.Regions)
            FindPieces(region);
        if (_totalBytes <= BytesOfOneThread || Environment.ProcessorCount == 1)
        {
            ReadPieces();
        }
        else
        {
            var second = new Thread(ReadPieces) { IsBackground = true, Name = "memory filling" };
            second.Start();
            ReadPieces();
            second.Join();
        }

        if (_failure is not null)
            ExceptionDispatchInfo.Throw(_failure);
    }

    // No piece crosses a huge page, so that two threads never fault one in together.
    private void FindPieces(MemoryRegion region)
    {
        var end = region.GuestAddress + region.SizeBytes;
        for (var address = region.GuestAddress; address != end;)
        {
            cancellationToken.ThrowIfCancellationRequested();
            var run = stored.Find(address);
            var left = end - address;
            var length = (ulong)run.Pages > left / MemoryRegion.PageBytes ? left : (ulong)run.Pages * MemoryRegion.PageBytes;
            if (run.Content == PageContent.Data)
            {
                length = Math.Min(length, PieceBytes - (address % PieceBytes));
                _pieces.Add((address, (int)length));
                _totalBytes += (long)length;
            }

            address += length;
        }
    }

    private void ReadPieces()
    {
        try
        {
            while (Volatile.Read(ref _failure) is null && Interlocked.Increment(ref _next) - 1 is var next && next < _pieces.Count)
            {
                cancellationToken.ThrowIfCancellationRequested();
                var (address, length) = _pieces[next];
                memory.Fill(address, length, (stored, address), static (span, from) => from.stored.Read(from.address, span));
                progress?.Report(new FillProgress(Interlocked.Add(ref _doneBytes, length), _totalBytes));
            }
        }
        catch (Exception failure)
        {
            Interlocked.CompareExchange(ref _failure, failure, null);
        }
    }
}
