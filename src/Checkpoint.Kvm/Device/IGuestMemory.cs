using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device;

/// <summary>
/// The memory behind a machine's slots, as the host sees it. Vcpus write it while they run; only between park and resume is
/// what is read here one moment.
/// </summary>
public interface IGuestMemory : IDisposable
{
    /// <summary>The slots in ascending order of guest address.</summary>
    ImmutableArray<MemoryRegion> Regions { get; }

    /// <summary>Whether the pages are somebody else's, who may write them without this object.</summary>
    bool IsAdopted => false;

    /// <summary>Where writes through this object are noted; null while nobody wants to know.</summary>
    WrittenPages? Written { get; set; }

    /// <summary>The memory's coming in, while the guest runs; null where all of it was there from the start.</summary>
    MemoryFilling? Filling => null;

    /// <summary>
    /// Whether a restore does well to fill this memory lazily where nobody says how. Simulated memory has no pages to touch: asking at
    /// each access costs more than it saves.
    /// </summary>
    bool PrefersLazyFill => false;

    /// <summary>
    /// Has the content of fresh memory come in when it is touched, by the guest or through this object. For a machine whose memory
    /// nobody has touched yet; <see cref="MemoryFilling.FillInBackground"/> brings in what nobody touches.
    /// </summary>
    /// <param name="source">What it is filled from; the filling disposes of it, unless false is returned.</param>
    /// <param name="obstacle">Why this memory cannot do that; then it is to be filled as a whole.</param>
    /// <returns>Whether <see cref="Filling"/> is under way.</returns>
    bool TryFillLazily(IPageSource source, [NotNullWhen(false)] out string? obstacle)
    {
        obstacle = "this machine's memory does not tell who touches it";
        return false;
    }

    /// <summary>
    /// Makes it possible to let writes wait, by vCPUs and by the host, until somebody has looked at what they would change. Nothing waits
    /// before <see cref="IWriteProtection.Protect"/>.
    /// </summary>
    /// <param name="onWrite">
    /// Called with the guest physical address of a page that somebody waits to write, on a thread of the memory's own or on the writer's, for
    /// several at once; it must unprotect the page before it returns, and must not write guest memory.
    /// </param>
    /// <param name="protection">Disposed of by the caller, when everything is unprotected.</param>
    /// <param name="obstacle">Why that is not possible here, as one line.</param>
    bool TryProtectWrites(
        Action<ulong> onWrite, [NotNullWhen(true)] out IWriteProtection? protection, [NotNullWhen(false)] out string? obstacle)
    {
        protection = null;
        obstacle = "this memory cannot let writes wait";
        return false;
    }

    /// <summary>Copies guest memory out.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside one slot.</exception>
    void Read(ulong guestAddress, Span<byte> destination);

    /// <summary>Copies into guest memory.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside one slot.</exception>
    void Write(ulong guestAddress, ReadOnlySpan<byte> source);

    /// <summary>
    /// Has a function write a range, without a copy where the memory is this process's own; elsewhere into a buffer that is sent
    /// when the function has returned.
    /// </summary>
    /// <param name="guestAddress">Guest physical address.</param>
    /// <param name="length">Bytes, at most 1 GiB.</param>
    /// <param name="state">Handed to the function.</param>
    /// <param name="write">Writes all of the span: what it leaves out may keep its bytes or be zero.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside one slot.</exception>
    void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write);
}
