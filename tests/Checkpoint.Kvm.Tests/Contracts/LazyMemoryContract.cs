using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Memory that comes in while the guest runs is what was stored, and nobody sees any of it before it was checked.</summary>
public abstract class LazyMemoryContract : IDisposable
{
    private const int Size = 16 << 20;
    private const ulong Far = 12 << 20;
    private const ulong Unit = MemoryFilling.UnitBytes;

    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(30);

    private readonly IKvm _kvm;
    private readonly MachineArchitecture _architecture;
    private readonly GuestMachine _original;
    private readonly byte[] _bytes;

    protected LazyMemoryContract(IKvm kvm, MachineArchitecture architecture = MachineArchitecture.X64)
    {
        _kvm = kvm;
        _architecture = architecture;
        _original = GuestMachine.Create(
            _kvm, GuestKind.Ledger, new GuestOptions { Architecture = _architecture, Vcpus = 2, Seed = 7, MemoryBytes = Size, ExitEverySteps = 1 << 12 });
        var noise = new byte[Unit / 2];
        new Random(5).NextBytes(noise);
        _original.Machine.Memory.Write(Far, noise);
        using (var run = new ParkedRun(_original))
            run.RunForAMoment(20_000);
        _bytes = _original.Machine.Memory.ReadBytes(0, Size);
    }

    public void Dispose()
    {
        _original.Dispose();
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_guest_goes_on_with_memory_that_comes_as_it_is_touched()
    {
        using var source = new Closed(new StoredPages(_bytes));
        using var guest = Restore(source.Pages);
        var at = _original.Verify();
        using (var run = new ParkedRun(guest))
            RunUntilAllHaveMoved(run, guest, at);
        Assert.InRange(guest.Machine.Memory.Filling!.FilledBytes, 1, guest.Machine.Memory.Filling.TotalBytes - (long)Unit);
        Assert.Null(guest.Machine.Memory.Filling.Failure);
    }

    [ContractFact]
    public void What_the_host_reads_and_writes_is_brought_in_first()
    {
        using var source = new Closed(new StoredPages(_bytes));
        using var guest = Restore(source.Pages);
        var memory = guest.Machine.Memory;
        memory.Write(Far + 10, [1, 2, 3]);
        var expected = _bytes.AsSpan((int)Far, 4096).ToArray();
        ((byte[])[1, 2, 3]).CopyTo(expected, 10);
        Assert.Equal(expected, memory.ReadBytes(Far, 4096));
        memory.Fill(Unit - 8, 16, 0, static (span, _) => span.Fill(9));
        Assert.Equal(_bytes.AsSpan((int)Unit - 4096, 4096 - 8).ToArray(), memory.ReadBytes(Unit - 4096, 4096 - 8));
    }

    [ContractFact]
    public void What_nobody_touches_comes_behind_the_guests_back()
    {
        var source = new StoredPages(_bytes);
        using var guest = Restore(source);
        var filling = guest.Machine.Memory.Filling!;
        Assert.Equal(0, filling.FilledBytes);
        filling.FillInBackground();
        Assert.True(filling.Ended.Wait(s_limit));
        Assert.True(filling.IsComplete);
        Assert.Equal(filling.TotalBytes, filling.FilledBytes);
        filling.FillInBackground();
        Assert.Equal(_bytes, guest.Machine.Memory.ReadBytes(0, Size));
        Assert.True(source.IsDisposed);
    }

    [ContractFact]
    public void What_is_expected_comes_ahead_and_nothing_else()
    {
        using var source = new Closed(new StoredPages(_bytes));
        using var guest = Restore(source.Pages);
        var filling = guest.Machine.Memory.Filling!;
        filling.Expect(Far + 10);
        Assert.Equal((long)Unit, filling.FilledBytes);
        foreach (var there in (ulong[])[Far, Size, ulong.MaxValue])
            filling.Expect(there);
        Assert.Equal(((long)Unit, 1), (filling.FilledBytes, source.Pages.Reads));
        Assert.Equal(_bytes.AsSpan((int)Far, 4096).ToArray(), guest.Machine.Memory.ReadBytes(Far, 4096));
        Assert.Equal((long)Unit, filling.FilledBytes);
        Assert.Null(filling.Failure);
    }

    [ContractFact]
    public void What_is_expected_and_damaged_ends_the_vcpus()
    {
        using var source = new Closed(new StoredPages(_bytes) { Damaged = Far });
        using var guest = Restore(source.Pages);
        AssertAllEnd(guest, "the page at 0xc00000 is damaged", () => guest.Machine.Memory.Filling!.Expect(Far + 4096));
        Assert.Throws<GuestMemoryException>(() => guest.Machine.Memory.ReadBytes(Far, 8));
    }

    [ContractFact]
    public void Each_unit_is_read_once_and_units_of_zeros_never()
    {
        var source = new StoredPages(_bytes);
        using var guest = Restore(source);
        var memory = guest.Machine.Memory;
        Parallel.For(0, 8, _ => Assert.Equal(_bytes, memory.ReadBytes(0, Size)));
        memory.Filling!.FillRest();
        var units = Enumerable.Range(0, Size / (int)Unit).Count(unit => source.HasData((ulong)unit * Unit, Unit));
        Assert.InRange(units, 2, (Size / (int)Unit) - 1);
        Assert.Equal(units, source.Reads);
    }

    [ContractFact]
    public void A_copy_of_memory_that_is_still_missing_is_the_memory()
    {
        using var source = new Closed(new StoredPages(_bytes));
        using var guest = Restore(source.Pages);
        using var capture = new MemoryCapture(guest.Machine, new PagePool(64 << 20));
        capture.Prepare(CheckpointMode.Full);
        capture.Capture();
        var copied = new byte[Size];
        foreach (var copy in capture.Copies)
            copy.Bytes.Span.CopyTo(copied.AsSpan((int)copy.GuestAddress));
        Assert.Equal(_bytes, copied);
    }

    [ContractFact]
    public void A_damaged_page_that_the_guest_touches_ends_every_vcpu_and_is_seen_by_nobody()
    {
        // Code and page tables: the processor's own walk meets it as well as the guest.
        using var source = new Closed(new StoredPages(_bytes) { Damaged = 0x1000 });
        using var guest = Restore(source.Pages);
        AssertAllEnd(guest, "the page at 0x1000 is damaged");
        var refused = Assert.Throws<GuestMemoryException>(() => guest.Machine.Memory.ReadBytes(0, 8));
        Assert.IsType<InvalidDataException>(refused.InnerException);
        Assert.Throws<GuestMemoryException>(() => guest.Machine.Memory.Write(0x1800, [1]));
    }

    [ContractFact]
    public void A_damaged_page_that_nobody_touches_stops_a_running_machine()
    {
        using var source = new Closed(new StoredPages(_bytes) { Damaged = Far });
        using var guest = Restore(source.Pages);
        AssertAllEnd(guest, "the page at 0xc00000 is damaged", () => guest.Machine.Memory.Filling!.FillInBackground());

        // What had come before stays as it is.
        Assert.Equal(8, guest.Machine.Memory.ReadBytes(0, 8).Length);
        Assert.Throws<GuestMemoryException>(() => guest.Machine.Memory.ReadBytes(Far, 8));
        Assert.Throws<GuestMemoryException>(() => guest.Machine.Memory.Filling!.FillRest());
    }

    [ContractFact]
    public void Memory_that_is_given_up_ends_the_vcpus_that_wait_for_it()
    {
        using var gate = new ManualResetEventSlim();
        using var source = new Closed(new StoredPages(_bytes) { Gate = gate });
        using var guest = Restore(source.Pages);
        AssertAllEnd(guest, "nobody wants it", () =>
        {
            Assert.True(source.Pages.HasBegun.Wait(s_limit));
            guest.Machine.Memory.Filling!.GiveUp("nobody wants it");
            gate.Set();
        });
    }

    [ContractFact]
    public void Disposing_waits_for_reads_under_way_and_closes_the_source()
    {
        using var gate = new ManualResetEventSlim();
        var source = new StoredPages(_bytes) { Gate = gate };
        var guest = Restore(source);
        var filling = guest.Machine.Memory.Filling!;
        var reading = Task.Run(() => Assert.Throws<GuestMemoryException>(() => filling.Demand(Far, 1)));
        Assert.True(source.HasBegun.Wait(s_limit));
        var disposing = Task.Run(guest.Dispose);
        Assert.True(filling.Ended.Wait(s_limit));
        Assert.False(source.IsDisposed);
        gate.Set();
        Assert.True(disposing.Wait(s_limit));
        Assert.True(reading.Wait(s_limit));
        Assert.True(source.IsDisposed);
        Assert.IsType<OperationCanceledException>(filling.Failure!.InnerException);
        Assert.Throws<GuestMemoryException>(() => filling.Demand(Far, 1));
    }

    [ContractFact]
    public void Memory_of_zeros_alone_is_there_at_once()
    {
        using var machine = MachineBuilder.Create(_kvm, _original.Machine.Description);
        var source = new StoredPages(new byte[Size]);
        Assert.True(machine.Memory.TryFillLazily(source, out _));
        Assert.True(machine.Memory.Filling!.IsComplete);
        Assert.True(machine.Memory.Filling.Ended.IsCompleted);
        Assert.True(source.IsDisposed);
        Assert.Equal(-1, machine.Memory.ReadBytes(0, Size).IndexOfAnyExcept((byte)0));
    }

    [ContractFact]
    public void Memory_that_has_just_come_in_can_be_protected_against_writes()
    {
        // Again and again: what stands in the way goes by itself a moment later.
        for (var round = 0; round < 20; round++)
        {
            using var machine = MachineBuilder.Create(_kvm, _original.Machine.Description);
            Assert.True(machine.Memory.TryFillLazily(new StoredPages(_bytes), out var obstacle), obstacle);
            machine.Memory.Filling!.FillRest();
            Assert.True(machine.Memory.TryProtectWrites(_ => { }, out var protection, out obstacle), obstacle);
            protection.Dispose();
        }
    }

    private static void RunUntilAllHaveMoved(ParkedRun run, GuestMachine guest, GuestVerdict start)
    {
        for (var round = 0; round < 200; round++)
        {
            run.RunForAMoment(20_000);
            var verdict = guest.Verify();
            Assert.Empty(verdict.Failures);
            if (verdict.FailuresSince(start).Count == 0)
                return;
        }

        Assert.Empty(guest.Verify().FailuresSince(start));
    }

    private static void AssertAllEnd(GuestMachine guest, string why, Action? meanwhile = null)
    {
        using var run = new EndingRun(guest);
        meanwhile?.Invoke();
        foreach (var end in run.Ends(s_limit))
            Assert.Contains(why, end, StringComparison.Ordinal);
    }

    private static StateDocument Capture(Machine machine)
    {
        foreach (var vcpu in machine.Vcpus)
            vcpu.Capture();
        machine.CaptureVm();
        return new StateDocument(machine.Description, machine.ToVmStateList(), [.. machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);
    }

    private GuestMachine Restore(StoredPages source)
    {
        var machine = MachineBuilder.Create(_kvm, _original.Machine.Description);
        try
        {
            Assert.True(machine.Memory.TryFillLazily(source, out var obstacle), obstacle);
            Assert.Empty(machine.Restore(Capture(_original.Machine), ClockPolicy.Freeze, default, default).Refusals);
            return GuestMachine.Restore(machine, _original.CaptureDevice().Span);
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>Checks that whatever became of the machine, its source was closed; made before the machine, and so disposed of after it.</summary>
    private sealed class Closed(StoredPages pages) : IDisposable
    {
        public StoredPages Pages { get; } = pages;

        public void Dispose() => Assert.True(Pages.IsDisposed);
    }
}
