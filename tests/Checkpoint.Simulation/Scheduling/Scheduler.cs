namespace Checkpoint.Simulation.Scheduling;

/// <summary>
/// Everything that happens in one history, one thing at a time, in the order of a time that passes only between them. There is
/// no thread and no clock: the same seed gives the same order.
/// </summary>
internal sealed class Scheduler
{
    private readonly PriorityQueue<Entry, (long At, long Order)> _queue = new();
    private readonly int _thread = Environment.CurrentManagedThreadId;
    private long _order;

    /// <summary>Microseconds since the beginning.</summary>
    public long NowUs { get; private set; }

    /// <summary>How many things have happened.</summary>
    public long Steps { get; private set; }

    /// <summary>Whose step it is that happens now; null: nobody's.</summary>
    public SteppedActivity? AtWork { get; set; }

    /// <summary>What has happened so far, as one number: two histories that differ in a step differ in it.</summary>
    public ulong Fingerprint { get; private set; }

    /// <summary>Has something done later.</summary>
    /// <param name="afterUs">How much later.</param>
    /// <param name="work">What; it must not throw.</param>
    /// <param name="owner">Who does it; nobody does it any more when its process has ended.</param>
    public Entry After(long afterUs, Action work, SimulatedProcess? owner)
    {
        if (Environment.CurrentManagedThreadId != _thread)
            throw new InvalidOperationException("Something of this history has run on another thread.");
        var entry = new Entry(work, owner);
        _queue.Enqueue(entry, (NowUs + Math.Max(0, afterUs), _order++));
        return entry;
    }

    /// <summary>Has something done that had to wait.</summary>
    public void Again(Entry entry) => _queue.Enqueue(entry, (NowUs, _order++));

    /// <summary>A task that ends after a time; it never ends when the process has.</summary>
    public Task DelayAsync(long afterUs, SimulatedProcess? owner)
    {
        var ended = new TaskCompletionSource();
        After(afterUs, ended.SetResult, owner);
        return ended.Task;
    }

    /// <summary>Does the next thing.</summary>
    /// <returns>False where nothing is left to do.</returns>
    public bool Step()
    {
        while (_queue.TryDequeue(out var entry, out var when))
        {
            if (entry.IsCancelled || entry.Owner is { IsAlive: false })
                continue;
            NowUs = when.At;
            if (entry.Owner?.Frozen is { } frozen)
            {
                frozen.Add(entry);
                continue;
            }

            Steps++;
            Mix((ulong)when.At ^ ((ulong)when.Order << 32));
            entry.IsCancelled = true;
            entry.Work();
            return true;
        }

        return false;
    }

    /// <summary>Takes something that has happened into the fingerprint.</summary>
    public void Mix(ulong value) => Fingerprint = SeededRandom.Mix(Fingerprint ^ value);

    /// <summary>Something to be done.</summary>
    internal sealed class Entry(Action work, SimulatedProcess? owner)
    {
        public Action Work { get; } = work;

        public SimulatedProcess? Owner { get; } = owner;

        /// <summary>Whether it has been called off, or done.</summary>
        public bool IsCancelled { get; set; }
    }
}
