using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Memory that is taken while a guest writes it is, when the guest is parked, the guest's memory.</summary>
public abstract class MemoryCaptureContract : IDisposable
{
    private readonly IKvm _kvm;
    private readonly MachineArchitecture _architecture;

    protected MemoryCaptureContract(IKvm kvm, MachineArchitecture architecture = MachineArchitecture.X64)
    {
        _kvm = kvm;
        _architecture = architecture;
    }

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void Increments_on_top_of_a_full_copy_are_the_memory_of_the_moment()
    {
        using var guest = Create();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20));
        var mirror = new byte[Size(guest)];
        var random = new Random(3);
        using var run = new ParkedRun(guest);
        for (var round = 0; round < 12; round++)
        {
            run.RunForAMoment(random.Next(20_000));
            if (round % 3 == 1)
                guest.Machine.Memory.Write((ulong)random.Next(mirror.Length - 8), new byte[8]);
            run.WhileRunning(() => capture.Prepare(CheckpointMode.Incremental));
            capture.Capture();
            capture.Complete();
            Assert.Equal(round == 0 ? CheckpointMode.Full : CheckpointMode.Incremental, capture.Mode);
            Assert.Equal(capture.Pages, Apply(capture, mirror));
            AssertSame(guest, mirror);
            capture.Settle(isCommitted: true);
        }
    }

    [ContractFact]
    public void What_was_taken_and_given_up_is_taken_again()
    {
        using var guest = Create();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20));
        var mirror = new byte[Size(guest)];
        using var run = new ParkedRun(guest);
        for (var round = 0; round < 12; round++)
        {
            run.RunForAMoment(10_000);
            run.WhileRunning(() => capture.Prepare(CheckpointMode.Incremental));
            capture.Capture();
            capture.Complete();
            var isCommitted = round % 3 != 1;
            if (isCommitted)
            {
                Apply(capture, mirror);
                AssertSame(guest, mirror);
            }

            capture.Settle(isCommitted);
        }
    }

    [ContractFact]
    public void A_preparation_that_is_cancelled_loses_nothing()
    {
        using var guest = Create();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20));
        var mirror = new byte[Size(guest)];
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(10_000);
        using var cancelled = new CancellationTokenSource();
        cancelled.Cancel();
        Assert.Throws<OperationCanceledException>(() => capture.Prepare(CheckpointMode.Full, null, cancelled.Token));
        capture.Settle(isCommitted: false);
        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Apply(capture, mirror);
        AssertSame(guest, mirror);
    }

    [ContractFact]
    public void A_guest_larger_than_the_buffer_is_refused_in_one_sentence()
    {
        using var guest = Create();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(4 << 20));
        var failure = Assert.Throws<InsufficientPageBufferException>(() => capture.Prepare(CheckpointMode.Full));
        Assert.Matches("^the memory to copy has [0-9]+ MiB and the buffer for all machines 4 MiB; ", failure.Message);
    }

    [ContractFact]
    public void What_is_left_is_protected_and_copied_as_it_was_in_the_pause()
    {
        using var guest = Create();
        using var capture = Capture(guest);
        if (!CanProtect(guest))
        {
            Assert.Throws<PauseLimitException>(() => capture.Prepare(CheckpointMode.Full, NoTime(OverMaxPause.Protect)));
            return;
        }

        var mirror = new byte[Size(guest)];
        var moment = new byte[Size(guest)];
        using var run = new ParkedRun(guest);
        for (var round = 0; round < 8; round++)
        {
            run.RunForAMoment(10_000);
            run.WhileRunning(() => capture.Prepare(CheckpointMode.Incremental, NoTime(OverMaxPause.Protect)));
            capture.Capture();
            guest.Machine.Memory.Read(0, moment);
            run.WhileRunning(() =>
            {
                // The host writes what is protected, too.
                guest.Machine.Memory.Write((ulong)moment.Length - 8, BitConverter.GetBytes(round + 1L));
                guest.Machine.Memory.Fill((ulong)moment.Length - 4096, 8, (byte)round, static (span, value) => span.Fill(value));
                capture.Complete();
            });
            Assert.Equal(MemoryWay.Protected, capture.Taking.Way);
            Apply(capture, mirror);
            AssertSame(moment, mirror);
            capture.Settle(isCommitted: true);
        }

        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Apply(capture, mirror);
        AssertSame(guest, mirror);
    }

    [ContractFact]
    public void A_checkpoint_that_is_given_up_while_memory_is_protected_keeps_nobody_waiting_and_loses_nothing()
    {
        using var guest = Create();
        using var capture = Capture(guest);
        if (!CanProtect(guest))
        {
            Assert.Throws<PauseLimitException>(() => capture.Prepare(CheckpointMode.Full, NoTime(OverMaxPause.Protect)));
            return;
        }

        var mirror = new byte[Size(guest)];
        using var run = new ParkedRun(guest);
        for (var round = 0; round < 3; round++)
        {
            run.WhileRunning(() => capture.Prepare(CheckpointMode.Incremental, NoTime(OverMaxPause.Protect)));
            capture.Capture();
            run.WhileRunning(() => capture.Settle(isCommitted: false));
            run.RunForAMoment(1000);
        }

        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Apply(capture, mirror);
        AssertSame(guest, mirror);
    }

    [ContractFact]
    public void A_checkpoint_that_is_given_up_before_what_is_left_was_captured_loses_nothing()
    {
        using var guest = Create();
        var memory = guest.Machine.Memory;
        var time = new SteppingTime();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20), time: time);
        var mirror = new byte[Size(guest)];
        Take(capture, mirror);
        capture.Settle(isCommitted: true);

        // Written while the round copies, and not before: it is left for the pause, and nothing of it is copied yet.
        time.OnLook = () => memory.Write((ulong)mirror.Length - 8, BitConverter.GetBytes(time.GetTimestamp()));
        if (CanProtect(guest))
            capture.Prepare(CheckpointMode.Incremental, NoTime(OverMaxPause.Protect));
        else
            Assert.Throws<PauseLimitException>(() => capture.Prepare(CheckpointMode.Incremental, NoTime(OverMaxPause.Protect)));
        time.OnLook = null;
        capture.Settle(isCommitted: false);

        Take(capture, mirror);
        AssertSame(guest, mirror);
    }

    [ContractFact]
    public void A_writer_that_comes_back_after_the_protection_has_ended_goes_on()
    {
        using var guest = Create();
        var (memory, length) = (guest.Machine.Memory, (ulong)Size(guest));
        if (!memory.TryProtectWrites(_ => { }, out var protection, out _))
            return;
        protection.Protect(0, length);
        protection.Unprotect(0, length);
        protection.Dispose();
        protection.Unprotect(0, length);
        memory.Write(0, [1]);
        Assert.True(CanProtect(guest));
    }

    [ContractFact]
    public void A_protection_whose_end_fails_is_over_all_the_same_and_the_next_copy_is_exact()
    {
        var faults = new FaultPlan();
        using var guest = Create(new FaultyKvm(_kvm, faults));
        if (!CanProtect(guest))
            return;
        using var capture = Capture(guest);
        var mirror = new byte[Size(guest)];
        using var run = new ParkedRun(guest);
        run.WhileRunning(() => capture.Prepare(CheckpointMode.Full, NoTime(OverMaxPause.Protect)));
        // Something is left to protect also where the guest was given no processor meanwhile.
        guest.Machine.Memory.Write((ulong)Size(guest) - 1, [0]);
        capture.Capture();
        faults.On(FaultCalls.WriteProtect).Fail(Errno.ENOENT);
        Assert.Throws<KvmException>(capture.Complete);
        Assert.Throws<KvmException>(() => capture.Settle(isCommitted: false));
        faults.Disarm();
        Assert.True(CanProtect(guest));

        // Nobody waits any more, and what was given up is taken anew.
        run.RunForAMoment(20_000);
        Take(capture, mirror);
        AssertSame(guest, mirror);
        capture.Settle(isCommitted: true);
    }

    [ContractFact]
    public void A_pause_that_would_be_too_long_is_refused_before_it_begins()
    {
        using var guest = Create();
        using var capture = Capture(guest);
        using var run = new ParkedRun(guest);
        PauseLimitException? refusal = null;
        run.WhileRunning(() => refusal = Assert.Throws<PauseLimitException>(() => capture.Prepare(CheckpointMode.Full, NoTime(OverMaxPause.Refuse))));
        Assert.Matches("^the guest writes too fast: [0-9]+ pages are left for the pause and would take [0-9.]+ ms of the 1.00 ms that it may last, of which the memory has -?0.00 ms$", refusal!.Message);
        run.WhileRunning(() => capture.Prepare(CheckpointMode.Full, NoTime(OverMaxPause.Exceed)));
        capture.Capture();
        capture.Complete();
        Assert.Equal(MemoryWay.Precopied, capture.Taking.Way);
    }

    [ContractFact]
    public void An_increment_holds_what_has_changed_and_at_most_a_tenth_more()
    {
        using var guest = Create();
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20));
        var mirror = new byte[Size(guest)];
        using var run = new ParkedRun(guest);
        var (pages, changed) = (0L, 0L);
        for (var round = 0; round < 12; round++)
        {
            run.RunForAMoment(50_000);
            capture.Prepare(CheckpointMode.Incremental);
            capture.Capture();
            capture.Complete();
            var before = mirror.ToArray();
            Apply(capture, mirror);
            // What a vCPU reads first is mapped writable and counts as written, once.
            if (round >= 2)
                (pages, changed) = (pages + capture.Pages, changed + Differing(before, mirror));
            capture.Settle(isCommitted: true);
        }

        Assert.True(changed > 0);
        Assert.True(pages <= changed * 1.1, $"{pages} pages were taken, {changed} had changed.");
        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Assert.Equal(0, capture.Pages);
    }

    // Each look at the clock is a millisecond later: whatever is copied takes longer than there is.
    private static MemoryCapture Capture(GuestMachine guest) => new(guest.Machine, new PagePool(64 << 20), time: new SteppingTime());

    private static PauseLimit NoTime(OverMaxPause over) => new(TimeSpan.FromMilliseconds(1), TimeSpan.FromTicks(-1), over);

    private static void Take(MemoryCapture capture, byte[] mirror)
    {
        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
        capture.Complete();
        Apply(capture, mirror);
    }

    private static bool CanProtect(GuestMachine guest)
    {
        if (!guest.Machine.Memory.TryProtectWrites(_ => { }, out var protection, out _))
            return false;
        protection.Dispose();
        return true;
    }

    private static int Differing(byte[] left, byte[] right)
    {
        var count = 0;
        for (var page = 0; page < left.Length; page += (int)MemoryRegion.PageBytes)
            count += left.AsSpan(page, (int)MemoryRegion.PageBytes).SequenceEqual(right.AsSpan(page, (int)MemoryRegion.PageBytes)) ? 0 : 1;
        return count;
    }

    private static int Size(GuestMachine guest) => (int)guest.Machine.Memory.Regions.Single().SizeBytes;

    private static long Apply(MemoryCapture capture, byte[] mirror)
    {
        var (pages, end) = (0L, 0UL);
        foreach (var copy in capture.Copies)
        {
            Assert.True(copy.GuestAddress >= end, "Copies are in ascending order.");
            end = copy.GuestAddress + (ulong)copy.Bytes.Length;
            copy.Bytes.Span.CopyTo(mirror.AsSpan((int)copy.GuestAddress));
            pages += copy.Bytes.Length / (int)MemoryRegion.PageBytes;
        }

        return pages;
    }

    private static void AssertSame(GuestMachine guest, byte[] mirror)
    {
        var memory = new byte[mirror.Length];
        guest.Machine.Memory.Read(0, memory);
        AssertSame(memory, mirror);
    }

    private static void AssertSame(byte[] memory, byte[] mirror)
    {
        for (var page = 0; page < mirror.Length; page += (int)MemoryRegion.PageBytes)
            Assert.True(memory.AsSpan(page, (int)MemoryRegion.PageBytes).SequenceEqual(mirror.AsSpan(page, (int)MemoryRegion.PageBytes)), $"The page at 0x{page:x} differs.");
    }

    private GuestMachine Create(IKvm? kvm = null) => GuestMachine.Create(
        kvm ?? _kvm,
        GuestKind.Counter,
        new GuestOptions { Architecture = _architecture, Vcpus = 2, Seed = 9, ExitEverySteps = 1 << 12, WriteEverySteps = 64 });

    private sealed class SteppingTime : TimeProvider
    {
        private long _now;

        // Called once, with the first look at the clock.
        public Action? OnLook { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp()
        {
            var look = OnLook;
            OnLook = null;
            look?.Invoke();
            return Interlocked.Increment(ref _now);
        }
    }
}
