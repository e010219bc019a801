using System.Buffers;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// An open segment whose index has been checked against the event that names it. Every page is checked as it is read. Calls may
/// come from several threads at once.
/// </summary>
public sealed class SegmentReader : IDisposable
{
    private const int PieceBytes = 1 << 20;

    private readonly ISegmentFile _file;
    private readonly SegmentIndex _index;
    private readonly string _vm;
    private readonly string _part;
    private readonly BlockReader? _blocks;

    // Whether pages that are not in the page cache are read past it.
    private readonly bool _readsPastCache;

    private SegmentReader(ISegmentFile file, string vm, string part, SegmentIdentity identity, SegmentIndex index, bool readsPastCache)
    {
        _file = file;
        _vm = vm;
        _part = part;
        _index = index;
        _blocks = index.Blocks is { } blocks ? new BlockReader(file, blocks) : null;
        _readsPastCache = readsPastCache;
        Identity = identity;
    }

    /// <summary>Whose memory it is.</summary>
    public SegmentIdentity Identity { get; }

    /// <summary>How many pages are stored as data.</summary>
    public long DataPages => _index.DataPages;

    /// <summary>How many pages are recorded as zeros.</summary>
    public long ZeroPages => _index.ZeroPages;

    /// <summary>Whether its data pages are compressed: then reading one takes reading and unpacking up to 2 MiB.</summary>
    public bool IsCompressed => _blocks is not null;

    /// <summary>All runs of data and of zeros, in ascending order of guest address.</summary>
    public IEnumerable<SegmentRun> Runs
    {
        get
        {
            for (var i = 0; i < _index.Count; i++)
            {
                var run = _index[i];
                yield return new SegmentRun(run.GuestAddress, run.Pages, run.Content);
            }
        }
    }

    /// <summary>
    /// What the segment has of the page at an address, and of how many pages from there it has the same. Takes time in the
    /// logarithm of the number of runs.
    /// </summary>
    /// <param name="guestAddress">Guest physical address, a multiple of 4096.</param>
    public SegmentRun Find(ulong guestAddress)
    {
        CheckAligned(guestAddress, 0);
        return _index.Find(guestAddress, out _);
    }

    /// <summary>
    /// Reads what the segment has of a range of guest memory. Pages that it does not have are left as they are, so that reading
    /// a full segment and then its increments, oldest first, gives the memory.
    /// </summary>
    /// <param name="guestAddress">Guest physical address of the range, a multiple of 4096.</param>
    /// <param name="destination">Takes the range: a multiple of 4096 bytes.</param>
    /// <returns>How many pages were filled.</returns>
    /// <exception cref="IntegrityException">A page is not what was written; the message names its guest address.</exception>
    public long Read(ulong guestAddress, Span<byte> destination)
    {
        CheckAligned(guestAddress, destination.Length);
        var filled = 0L;
        while (!destination.IsEmpty)
        {
            var found = _index.Find(guestAddress, out var run);
            var size = (int)Math.Min((ulong)destination.Length, (ulong)found.Pages * SegmentFormat.PageBytes);
            var target = destination[..size];
            if (found.Content == PageContent.Data)
                ReadData(run, guestAddress, target);
            else if (found.Content == PageContent.Zero)
                target.Clear();
            if (found.Content != PageContent.NotHere)
                filled += size / SegmentFormat.PageBytes;
            destination = destination[size..];
            guestAddress += (ulong)size;
        }

        return filled;
    }

    /// <summary>Reads every page and checks it.</summary>
    /// <param name="damaged">Told of each damage, once for all pages of a lost block; the reading goes on behind it.</param>
    /// <param name="progress">Told the bytes read so far.</param>
    /// <param name="cancellationToken">Ends the reading.</param>
    public void Verify(Action<IntegrityException> damaged, IProgress<long>? progress, CancellationToken cancellationToken)
    {
        var buffer = ArrayPool<byte>.Shared.Rent(PieceBytes);
        var done = 0L;
        long? lost = null;
        try
        {
            for (var i = 0; i < _index.Count; i++)
            {
                var run = _index[i];
                var size = run.Content == PageContent.Data ? (long)run.Pages * SegmentFormat.PageBytes : 0;
                for (var at = 0L; at < size && run.FileOffset != lost; at += PieceBytes)
                {
                    cancellationToken.ThrowIfCancellationRequested();
                    var piece = buffer.AsSpan(0, (int)Math.Min(PieceBytes, size - at));
                    if (!VerifyPiece(run.GuestAddress + (ulong)at, piece, damaged))
                        lost = run.FileOffset;
                    progress?.Report(done += piece.Length);
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Closes the file.</summary>
    public void Dispose() => _file.Dispose();

    /// <summary>Opens a segment and checks all of it but its pages.</summary>
    /// <exception cref="IntegrityException">It is missing, or not the file that the event names.</exception>
    /// <exception cref="StoreException">It cannot be opened, which says nothing of its content.</exception>
    internal static SegmentReader Open(ISegmentFiles files, string path, SegmentIdentity identity, SegmentPart part, bool pastCache)
    {
        ISegmentFile? file = null;
        try
        {
            file = OpenFile(files, path);
            var index = SegmentIndex.Load(file, identity, part);
            var reader = new SegmentReader(file, identity.Vm, PartName(part), identity, index, pastCache && !file.WasRead);
            file = null;
            return reader;
        }
        catch (InvalidDataException exception)
        {
            throw Damaged(identity, part, exception.Message, exception);
        }
        catch (FileNotFoundException exception)
        {
            throw Damaged(identity, part, $"the file {path} is missing", exception);
        }
        catch (IOException exception)
        {
            throw Damaged(identity, part, $"it cannot be read: {SystemMessages.Of(exception)}", exception);
        }
        finally
        {
            file?.Dispose();
        }
    }

    // What the disk does not give back is as good as damaged. That a file cannot be opened says nothing of what is in it.
    private static ISegmentFile OpenFile(ISegmentFiles files, string path)
    {
        try
        {
            return files.OpenRead(path);
        }
        catch (Exception exception) when (exception is IOException and not FileNotFoundException or UnauthorizedAccessException)
        {
            throw new StoreException(
                StoreFailure.Unusable, $"the segment {path} cannot be opened: {SystemMessages.Of(exception)}; {SystemMessages.AdviceOn(exception)}", exception);
        }
    }

    private static string PartName(SegmentPart part) => "segment " + part.Name;

    private static IntegrityException Damaged(SegmentIdentity identity, SegmentPart part, string what, Exception inner) =>
        new(identity.Vm, PartName(part), what, checkpoint: identity.Number, inner: inner);

    private static void CheckAligned(ulong guestAddress, int size)
    {
        if (guestAddress % SegmentFormat.PageBytes != 0 || size % SegmentFormat.PageBytes != 0)
            throw new ArgumentException($"0x{guestAddress:x} with {size} bytes is not a range of whole pages.");
    }

    /// <summary>A damaged piece is read again page by page, so that each damaged page is told of.</summary>
    /// <returns>False where its whole block is lost: the pages of one have nothing of their own to be damaged.</returns>
    private bool VerifyPiece(ulong address, Span<byte> piece, Action<IntegrityException> damaged)
    {
        try
        {
            Read(address, piece);
        }
        catch (IntegrityException exception) when (exception.InnerException is InvalidDataException)
        {
            damaged(exception);
            return false;
        }
        catch (IntegrityException)
        {
            for (var at = 0; at < piece.Length; at += SegmentFormat.PageBytes)
            {
                try
                {
                    Read(address + (ulong)at, piece.Slice(at, SegmentFormat.PageBytes));
                }
                catch (IntegrityException exception)
                {
                    damaged(exception);
                }
            }
        }

        return true;
    }

    private void ReadData(IndexRun run, ulong guestAddress, Span<byte> target)
    {
        const int ChecksumsAtOnce = 256;
        var skipped = guestAddress - run.GuestAddress;
        var checksum = (int)(run.FirstChecksum + (skipped / SegmentFormat.PageBytes));
        if (_blocks is null)
            Fill(target, run.FileOffset + (long)skipped, guestAddress);
        else
            Unpack(_blocks, checksum, target, guestAddress);
        Span<uint> checksums = stackalloc uint[ChecksumsAtOnce];
        for (var at = 0; at < target.Length; at += ChecksumsAtOnce * SegmentFormat.PageBytes)
        {
            var pages = target.Slice(at, Math.Min(ChecksumsAtOnce * SegmentFormat.PageBytes, target.Length - at));
            Crc32C.OfPages(pages, checksums);
            for (var page = 0; page < pages.Length / SegmentFormat.PageBytes; page++)
            {
                if (checksums[page] != _index.Checksum(checksum++))
                    throw Damaged(guestAddress + (ulong)at + ((ulong)page * SegmentFormat.PageBytes), "does not have its checksum");
            }
        }
    }

    private void Unpack(BlockReader blocks, int page, Span<byte> target, ulong guestAddress)
    {
        try
        {
            blocks.Read(page, target);
        }
        catch (InvalidDataException exception)
        {
            var block = blocks.Blocks[blocks.Blocks.Find(page)];
            throw Damaged(guestAddress, $"is lost: the block of {block.Pages} pages that it is packed in, at byte {block.FileOffset}, {exception.Message}", exception);
        }
        catch (IOException exception)
        {
            throw Damaged(guestAddress, $"cannot be read: {SystemMessages.Of(exception)}", exception);
        }
    }

    private void Fill(Span<byte> target, long offset, ulong guestAddress)
    {
        try
        {
            if (SegmentIndex.TryFill(_file, target, offset, _readsPastCache))
                return;
        }
        catch (IOException exception)
        {
            throw Damaged(guestAddress, $"cannot be read: {SystemMessages.Of(exception)}", exception);
        }

        throw Damaged(guestAddress, "lies beyond the end of the file");
    }

    private IntegrityException Damaged(ulong guestAddress, string what, Exception? inner = null) =>
        new(_vm, _part, $"the page at guest address 0x{guestAddress:x} {what}", checkpoint: Identity.Number, inner: inner);
}
