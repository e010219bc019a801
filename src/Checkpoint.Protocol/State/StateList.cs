using System.Collections;
using System.Diagnostics.CodeAnalysis;

namespace Checkpoint.Protocol.State;

/// <summary>
/// The state of one vCPU, or of the VM: items in ascending order of their ids, each id once. The order makes two captures of
/// the same state the same bytes, whatever the strategy that read them.
/// </summary>
[SuppressMessage("Naming", "CA1710", Justification = "A state list is what the documents call it.")]
public sealed class StateList : IReadOnlyList<StateItem>
{
    private readonly StateItem[] _items;

    private StateList(StateItem[] items) => _items = items;

    /// <summary>A list without items.</summary>
    public static StateList Empty { get; } = new([]);

    /// <inheritdoc/>
    public int Count => _items.Length;

    /// <inheritdoc/>
    public StateItem this[int index] => _items[index];

    /// <summary>Sorts the items by id.</summary>
    /// <exception cref="ArgumentException">An id appears twice.</exception>
    public static StateList Create(IEnumerable<StateItem> items)
    {
        var sorted = items.OrderBy(item => item.Id).ToArray();
        for (var i = 1; i < sorted.Length; i++)
        {
            if (sorted[i].Id == sorted[i - 1].Id)
                throw new ArgumentException($"State item 0x{sorted[i].Id:x16} appears twice.", nameof(items));
        }

        return new StateList(sorted);
    }

    /// <summary>The value of one item, or false where the list has none with that id.</summary>
    public bool TryGet(ulong id, out ReadOnlyMemory<byte> value)
    {
        var low = 0;
        var high = _items.Length - 1;
        while (low <= high)
        {
            var middle = (low + high) >>> 1;
            var found = _items[middle].Id;
            if (found == id)
            {
                value = _items[middle].Value;
                return true;
            }

            if (found < id)
                low = middle + 1;
            else
                high = middle - 1;
        }

        value = default;
        return false;
    }

    /// <inheritdoc/>
    public IEnumerator<StateItem> GetEnumerator() => ((IEnumerable<StateItem>)_items).GetEnumerator();

    /// <inheritdoc/>
    IEnumerator IEnumerable.GetEnumerator() => _items.GetEnumerator();
}
