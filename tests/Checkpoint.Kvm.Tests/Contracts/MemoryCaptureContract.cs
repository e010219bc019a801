using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Events;
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
        Assert.Throws<OperationCanceledException>(() => capture.Prepare(CheckpointMode.Full, cancelled.Token));
        capture.Settle(isCommitted: false);
        capture.Prepare(CheckpointMode.Incremental);
        capture.Capture();
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
        for (var page = 0; page < mirror.Length; page += (int)MemoryRegion.PageBytes)
            Assert.True(memory.AsSpan(page, (int)MemoryRegion.PageBytes).SequenceEqual(mirror.AsSpan(page, (int)MemoryRegion.PageBytes)), $"The page at 0x{page:x} differs.");
    }

    private GuestMachine Create() => GuestMachine.Create(
        _kvm,
        GuestKind.Counter,
        new GuestOptions { Architecture = _architecture, Vcpus = 2, Seed = 9, ExitEverySteps = 1 << 12, WriteEverySteps = 64 });
}
