namespace Checkpoint.Actors.Coordination;

/// <summary>Says so when one piece of the store's work takes longer than it may. One piece at a time is watched.</summary>
internal sealed class StoreWatch : IDisposable
{
    // Timers count in whole milliseconds and may be early by less than one.
    private static readonly TimeSpan s_early = TimeSpan.FromMilliseconds(1);

    private readonly TimeSpan _deadline;
    private readonly TimeProvider _time;
    private readonly Action<MachineNotice> _notice;
    private readonly ITimer _timer;
    private string? _what;
    private long _begun;

    public StoreWatch(TimeSpan deadline, TimeProvider time, Action<MachineNotice> notice)
    {
        _deadline = deadline;
        _time = time;
        _notice = notice;
        _timer = time.CreateTimer(_ => OnTimer(), null, Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    /// <summary>A piece of work begins; it ends when what is returned is disposed of.</summary>
    public Watched Begin(string what)
    {
        Volatile.Write(ref _begun, _time.GetTimestamp());
        Volatile.Write(ref _what, what);
        _timer.Change(_deadline, Timeout.InfiniteTimeSpan);
        return new Watched(this);
    }

    public void Dispose() => _timer.Dispose();

    private void End()
    {
        Volatile.Write(ref _what, null);
        _timer.Change(Timeout.InfiniteTimeSpan, Timeout.InfiniteTimeSpan);
    }

    private void OnTimer()
    {
        if (Volatile.Read(ref _what) is not { } what)
            return;
        // A timer of the piece before may come late, into this one.
        var silent = _time.GetElapsedTime(Volatile.Read(ref _begun));
        if (silent < _deadline - s_early)
            _timer.Change(_deadline - silent, Timeout.InfiniteTimeSpan);
        else
            _notice(new MachineNotice.StoreSilent(what, silent));
    }

    /// <summary>A piece of work under way.</summary>
    internal readonly struct Watched(StoreWatch watch) : IDisposable
    {
        public void Dispose() => watch.End();
    }
}
