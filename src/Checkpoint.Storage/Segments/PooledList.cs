using System.Buffers;
using System.Runtime.CompilerServices;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// A list whose array is the pool's. A checkpoint's lists are large and come again with the next one: collected as garbage, they would stop the
/// process, and with it vCPUs that are about to park or to resume, every few checkpoints.
/// </summary>
internal sealed class PooledList<T> : IDisposable
    where T : unmanaged
{
    // The pool keeps what it is given for minutes, each size of it: what is larger than this comes seldom.
    private const int MostKeptBytes = 16 << 20;

    private T[] _items = [];

    public int Count { get; private set; }

    /// <summary>What is in it, until the next <see cref="Extend"/>.</summary>
    public Span<T> Items => _items.AsSpan(0, Count);

    /// <summary>The same.</summary>
    public ReadOnlyMemory<T> Memory => _items.AsMemory(0, Count);

    public void Add(T item) => Extend(1)[0] = item;

    /// <summary>Makes it longer.</summary>
    /// <returns>The new items; they hold what was there before, so the caller writes all of them.</returns>
    public Span<T> Extend(int count)
    {
        var needed = checked(Count + count);
        if (needed > _items.Length)
        {
            var larger = ArrayPool<T>.Shared.Rent((int)Math.Min(Math.Max(2L * _items.Length, needed), Array.MaxLength));
            Items.CopyTo(larger);
            GiveBack();
            _items = larger;
        }

        var added = _items.AsSpan(Count, count);
        Count = needed;
        return added;
    }

    /// <summary>Gives the array back; the list is empty.</summary>
    public void Dispose()
    {
        GiveBack();
        (_items, Count) = ([], 0);
    }

    private void GiveBack()
    {
        if (_items.Length > 0 && (long)_items.Length * Unsafe.SizeOf<T>() <= MostKeptBytes)
            ArrayPool<T>.Shared.Return(_items);
    }
}
