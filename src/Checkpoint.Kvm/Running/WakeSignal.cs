using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Running;

/// <summary>
/// A signal that one thread waits for and any thread sets. It is kept until it is taken, so it does not matter who comes
/// first. The waiter sleeps in the kernel at once and is woken by one call: a monitor would make it wait again for the lock
/// that the other still holds, and spinning would take the processor from the guest.
/// </summary>
public sealed class WakeSignal
{
    private const int Unset = 0;
    private const int IsSet = 1;
    private const int Awaited = -1;

    private readonly int[] _state = GC.AllocateArray<int>(1, pinned: true);

    /// <summary>Sets the signal; wakes the waiter where there is one.</summary>
    public void Set()
    {
        if (Interlocked.Exchange(ref _state[0], IsSet) == Awaited)
            Futex.WakeOne(_state);
    }

    /// <summary>Waits until the signal is set, and takes it.</summary>
    public void Wait()
    {
        while (Interlocked.CompareExchange(ref _state[0], Unset, IsSet) != IsSet)
        {
            if (Interlocked.CompareExchange(ref _state[0], Awaited, Unset) != IsSet)
                Futex.Wait(_state, Awaited, null);
        }
    }

    /// <summary>Waits until the signal is set, and takes it, or until the time is over.</summary>
    /// <param name="atMost">How long to wait; it may end a little early.</param>
    public void Wait(TimeSpan atMost)
    {
        if (Interlocked.CompareExchange(ref _state[0], Unset, IsSet) == IsSet)
            return;
        if (Interlocked.CompareExchange(ref _state[0], Awaited, Unset) != IsSet)
            Futex.Wait(_state, Awaited, atMost);
        // Set, woken or too late: either way nobody waits now, and a signal that has come is taken.
        Interlocked.Exchange(ref _state[0], Unset);
    }
}
