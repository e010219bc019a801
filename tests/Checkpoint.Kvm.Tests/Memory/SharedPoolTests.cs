using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Kvm.Tests.Memory;

/// <summary>Two machines and a buffer that has room for one of them.</summary>
public sealed class SharedPoolTests
{
    private const int MemoryBytes = 8 << 20;

    [Fact]
    public async Task A_machine_waits_for_room_until_the_checkpoint_of_another_is_over()
    {
        using var kvm = new SimulatedKvm();
        using var first = Create(kvm);
        using var second = Create(kvm);
        var pool = new PagePool(MemoryBytes + (4 << 20));
        using var stored = new MemoryCapture(first.Machine, pool);
        using var waiting = new MemoryCapture(second.Machine, pool);
        for (var round = 0; round < 3; round++)
        {
            stored.Prepare(CheckpointMode.Full);
            stored.Capture();
            var isOver = false;
            using var begins = new ManualResetEventSlim();
            var preparation = Task.Run(() =>
            {
                begins.Set();
                waiting.Prepare(CheckpointMode.Full);
                return Volatile.Read(ref isOver);
            });
            begins.Wait();
            Thread.SpinWait(200_000);
            // The disk was slow until here.
            Volatile.Write(ref isOver, true);
            stored.Settle(isCommitted: true);
            Assert.True(await preparation.WaitAsync(TimeSpan.FromSeconds(60)), "The second machine found room while the first one's copies lay in the buffer.");
            waiting.Capture();
            waiting.Settle(isCommitted: true);
        }
    }

    [Fact]
    public async Task A_wait_for_room_can_be_ended_and_takes_nothing_with_it()
    {
        using var kvm = new SimulatedKvm();
        using var first = Create(kvm);
        using var second = Create(kvm);
        var pool = new PagePool(MemoryBytes + (4 << 20));
        using var stored = new MemoryCapture(first.Machine, pool);
        using var waiting = new MemoryCapture(second.Machine, pool);
        stored.Prepare(CheckpointMode.Full);
        using var end = new CancellationTokenSource();
        var preparation = Task.Run(() => waiting.Prepare(CheckpointMode.Full, null, end.Token));
        await end.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => preparation.WaitAsync(TimeSpan.FromSeconds(60)));
        waiting.Settle(isCommitted: false);
        stored.Settle(isCommitted: false);
        waiting.Prepare(CheckpointMode.Full);
        waiting.Capture();
        Assert.True(waiting.Pages > 0);
    }

    [Fact]
    public void Those_who_wait_for_room_get_it_in_the_order_in_which_they_came()
    {
        var pool = new PagePool(10L * PageChunk.Bytes);
        Assert.Equal(6, pool.Reserve(6, 6, CancellationToken.None));
        var order = new List<string>();
        // The large one needs what the first has; the small one would fit beside it, but came later.
        var large = Wait(pool, 8, "large", order);
        var small = Wait(pool, 2, "small", order);
        pool.Return([], 0, 2);
        Assert.Empty(Order(order));
        pool.Return([], 0, 4);
        Assert.True(large.Join(TimeSpan.FromSeconds(60)) && small.Join(TimeSpan.FromSeconds(60)));
        Assert.Equal(["large", "small"], Order(order).Order(StringComparer.Ordinal));

        // Everything is taken, and what is taken without waiting is not there either.
        Assert.False(pool.TryReserveOne());
    }

    [Fact]
    public void Who_gives_up_waiting_keeps_nobody_behind_him_waiting()
    {
        var pool = new PagePool(10L * PageChunk.Bytes);
        pool.Reserve(6, 6, CancellationToken.None);
        using var end = new CancellationTokenSource();
        var order = new List<string>();
        var large = Wait(pool, 8, "large", order, end.Token);
        var small = Wait(pool, 4, "small", order);
        end.Cancel();
        Assert.True(large.Join(TimeSpan.FromSeconds(60)) && small.Join(TimeSpan.FromSeconds(60)));
        Assert.Equal(["small"], Order(order));
    }

    [Fact]
    public void What_is_wished_for_beyond_the_need_is_never_waited_for_in_vain()
    {
        var pool = new PagePool(10L * PageChunk.Bytes);
        Assert.Equal(10, pool.Reserve(8, 20, CancellationToken.None));
        pool.Return([], 0, 10);
        Assert.Throws<InsufficientPageBufferException>(() => pool.Reserve(11, 11, CancellationToken.None));
    }

    [Fact]
    public void Memory_that_nobody_needed_for_a_while_goes_back_to_the_host()
    {
        using var kvm = new SimulatedKvm();
        using var guest = Create(kvm);
        guest.Machine.Memory.Fill(4 << 20, 4 << 20, 1, static (span, _) => span.Fill(7));
        var time = new HandTime();
        var pool = new PagePool(64 << 20, TimeSpan.FromSeconds(10), time);
        using var capture = new MemoryCapture(guest.Machine, pool);
        Take(capture, CheckpointMode.Full);
        var afterFull = pool.ResidentBytes;
        Assert.True(afterFull >= 4 << 20);

        // An increment needs a part of it again and again: that part stays, the rest goes.
        for (var increment = 0; increment < 4; increment++)
        {
            guest.Machine.Memory.Write(5 << 20, [1]);
            Take(capture, CheckpointMode.Incremental);
            time.Elapse();
        }

        Assert.InRange(pool.ResidentBytes, PageChunk.Bytes, afterFull - PageChunk.Bytes);

        // Whatever was given back is there again for the next one, with its content.
        Take(capture, CheckpointMode.Full, copy => copy.GuestAddress is < (4 << 20) or >= (5 << 20) || copy.Bytes.Span[^1] == 7);
        time.Elapse();
        time.Elapse();
        time.Elapse();
        Assert.Equal(0, pool.ResidentBytes);
        Assert.False(time.IsSet, "A pool that has nothing looks for nothing.");
    }

    [Fact]
    public void Room_for_what_the_guest_writes_until_it_is_parked_is_there_before_the_pause_and_the_pause_allocates_nothing()
    {
        using var kvm = new SimulatedKvm();
        using var guest = Create(kvm);
        var pool = new PagePool(3L * MemoryBytes);
        using var capture = new MemoryCapture(guest.Machine, pool);
        Take(capture, CheckpointMode.Full);
        var allocating = 0;
        for (var round = 1; round <= 30; round++)
        {
            capture.Prepare(CheckpointMode.Incremental);
            // Another machine has taken all that was left, and every page is written while the vCPUs are being kicked.
            var others = 0;
            while (pool.TryReserveOne())
                others++;
            guest.Machine.Memory.Fill(0, MemoryBytes, (byte)round, static (span, value) => span.Fill(value));
            var before = GC.GetAllocatedBytesForCurrentThread();
            capture.Capture();
            allocating += GC.GetAllocatedBytesForCurrentThread() > before ? 1 : 0;
            capture.Complete();
            Assert.Equal(MemoryBytes / 4096, capture.Pages);
            Assert.All(capture.Copies, copy => Assert.False(copy.Bytes.Span.ContainsAnyExcept((byte)round)));
            capture.Settle(isCommitted: true);
            pool.Return([], 0, others);
        }

        // What is static in a class is made at its first use, and a collection by another thread ends what this one had room for. What a
        // pause allocates comes in each.
        Assert.InRange(allocating, 0, 3);
    }

    [Fact]
    public void More_than_there_is_room_for_in_the_pause_is_said_and_taken_the_next_time()
    {
        using var kvm = new SimulatedKvm();
        using var guest = Create(kvm);
        var pool = new PagePool(MemoryBytes);
        using var capture = new MemoryCapture(guest.Machine, pool);
        Take(capture, CheckpointMode.Full);
        // Other machines have most of the buffer.
        for (var others = 0; others < 2; others++)
            Assert.True(pool.TryReserveOne());
        capture.Prepare(CheckpointMode.Incremental);
        guest.Machine.Memory.Fill(0, MemoryBytes, (byte)5, static (span, value) => span.Fill(value));
        var failure = Assert.Throws<InsufficientPageBufferException>(capture.Capture);
        Assert.Matches("^while it was parked the guest had written more than the 4 MiB that there was room made ready for", failure.Message);
        capture.Settle(isCommitted: false);
        pool.Return([], 0, 2);
        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Assert.All(capture.Copies, copy => Assert.False(copy.Bytes.Span.ContainsAnyExcept((byte)5)));
        Assert.Equal(MemoryBytes / 4096, capture.Pages);
    }

    private static void Take(MemoryCapture capture, CheckpointMode mode, Predicate<CopiedMemory>? isSound = null)
    {
        capture.Prepare(mode);
        capture.Capture();
        capture.Complete();
        if (isSound is not null)
            Assert.All(capture.Copies, copy => Assert.True(isSound(copy)));
        capture.Settle(isCommitted: true);
    }

    // Returns when it stands in the queue.
    private static Thread Wait(PagePool pool, long chunks, string name, List<string> order, CancellationToken end = default)
    {
        var thread = new Thread(() =>
        {
            try
            {
                pool.Reserve(chunks, chunks, end);
                lock (order)
                    order.Add(name);
            }
            catch (OperationCanceledException)
            {
                // Given up.
            }
        });
        thread.Start();
        Assert.True(SpinWait.SpinUntil(() => (thread.ThreadState & (ThreadState.WaitSleepJoin | ThreadState.Stopped)) != 0, TimeSpan.FromSeconds(60)));
        Assert.True(thread.IsAlive, $"The {name} one did not wait.");
        return thread;
    }

    private static string[] Order(List<string> order)
    {
        lock (order)
            return [.. order];
    }

    private static GuestMachine Create(SimulatedKvm kvm) =>
        GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 3, MemoryBytes = MemoryBytes });

    /// <summary>A clock whose one timer goes off when the test says so.</summary>
    private sealed class HandTime : TimeProvider, ITimer
    {
        private TimerCallback? _callback;
        private object? _state;

        public bool IsSet { get; private set; }

        public void Elapse()
        {
            if (!IsSet)
                return;
            IsSet = false;
            _callback!(_state);
        }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            (_callback, _state) = (callback, state);
            return this;
        }

        public bool Change(TimeSpan dueTime, TimeSpan period) => IsSet = dueTime != Timeout.InfiniteTimeSpan;

        public void Dispose()
        {
        }

        public ValueTask DisposeAsync() => default;
    }
}
