using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.Bench;

/// <summary>The guest of bench/guest/writer.S in a machine of the engine's. bench/floor/machine.c builds the same in C.</summary>
internal sealed class WriterGuest : IExitHandler, IWriterGuest, IDisposable
{
    private const ulong Code = 0x1000;
    private const ulong Control = 0x2000;
    private const ulong Own = 0x3000;
    private const ulong Tables = 0x10000;
    private const ulong Area = 2 << 20;
    private const ulong PageBytes = MemoryRegion.PageBytes;
    private const ulong LargePageBytes = 2 << 20;
    private const ulong ControlPeriod = 0;
    private const ulong ControlHold = 8;
    private const ulong OwnWrites = 8;
    private const ulong OwnLongestGap = 16;
    private const ushort HoldPort = 0xc40;

    private readonly int _vcpus;
    private readonly Tsc _tsc;
    private readonly CountdownEvent _held;
    private readonly ManualResetEvent _go = new(false);
    private (ulong Rounds, ulong Writes) _before;

    public WriterGuest(IKvm kvm, ulong memoryBytes, int vcpus, ReadOnlySpan<byte> code)
    {
        _vcpus = vcpus;
        _held = new CountdownEvent(vcpus);
        Machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, vcpus, memoryBytes, InterruptChip.Full));
        _tsc = new Tsc(Machine.Vcpus[0].Vcpu.Call(KvmRequests.GetTscKhz, 0));
        Machine.Memory.Write(Code, code);
        Machine.Memory.Write(Control + ControlHold, [1]);
        TaskState.Load((address, bytes) => Machine.Memory.Write(address, bytes.Span));
        WriteTables(memoryBytes);
        for (var i = 0; i < vcpus; i++)
            Enter(Machine.Vcpus[i].Vcpu, i, memoryBytes);
    }

    public X64Machine Machine { get; }

    public Tsc Tsc => _tsc;

    /// <summary>Random bytes all over the area that the guest writes in.</summary>
    public void Fill()
    {
        foreach (var region in Machine.Memory.Regions)
        {
            var first = Math.Max(region.GuestAddress, Area);
            Parallel.For(0, (int)((region.GuestAddress + region.SizeBytes - first) / LargePageBytes), () => new Random(1), (unit, _, random) =>
            {
                Machine.Memory.Fill(first + ((ulong)unit * LargePageBytes), (int)LargePageBytes, random, static (span, random) => random.NextBytes(span));
                return random;
            }, _ => { });
        }
    }

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        if (exit.Reason != VcpuExitReason.Io || exit.Port != HoldPort)
            throw new InvalidOperationException($"The guest made an exit that it never makes: {exit.Reason}.");
        _held.Signal();
        _go.WaitOne();
        return ExitAction.Continue;
    }

    public void Go()
    {
        _held.Reset();
        Machine.Memory.Write(Control + ControlHold, [0]);
        _go.Set();
    }

    public void Hold()
    {
        _go.Reset();
        Machine.Memory.Write(Control + ControlHold, [1]);
        _held.Wait();
    }

    /// <summary>Waits until the guest, which begins held, has come that far.</summary>
    public void WaitUntilHeld() => _held.Wait();

    public void WritePages(double perSecond)
    {
        var period = perSecond == 0 ? 0 : (ulong)(_tsc.Hz * _vcpus / perSecond);
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, period);
        Machine.Memory.Write(Control + ControlPeriod, bytes);
    }

    /// <summary>How many pages each vCPU has to write in; it writes all of them before it comes back to one.</summary>
    public long AreaPages => (long)(Machine.Memory.Regions.Aggregate(0UL, (sum, region) => sum + region.SizeBytes) - Area) / (long)PageBytes / _vcpus;

    /// <summary>How many pages a vCPU has written since the beginning.</summary>
    public long WrittenBy(int vcpu)
    {
        Span<byte> bytes = stackalloc byte[8];
        Machine.Memory.Read(Own + ((ulong)vcpu * PageBytes) + OwnWrites, bytes);
        return BinaryPrimitives.ReadInt64LittleEndian(bytes);
    }

    public GuestProgress Progress()
    {
        var (rounds, writes, gap) = (0UL, 0UL, 0UL);
        Span<byte> bytes = stackalloc byte[24];
        for (var i = 0; i < _vcpus; i++)
        {
            var own = Own + ((ulong)i * PageBytes);
            Machine.Memory.Read(own, bytes);
            rounds += BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            writes += BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]);
            gap = Math.Max(gap, BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]));
            Machine.Memory.Write(own + OwnLongestGap, new byte[8]);
        }

        var progress = new GuestProgress(rounds - _before.Rounds, (long)(writes - _before.Writes), _tsc.ToUs(gap));
        _before = (rounds, writes);
        return progress;
    }

    public void Dispose()
    {
        Machine.Dispose();
        _go.Dispose();
        _held.Dispose();
    }

    // Linear addresses run through all of the memory without the hole below 4 GiB.
    private void WriteTables(ulong memoryBytes)
    {
        const ulong table = 0x27; // present, writable, user, accessed
        const ulong largePage = 0xe7; // and dirty, page size
        Write(Tables, (Tables + PageBytes) | table);
        for (var i = 0UL; i < memoryBytes / LargePageBytes; i++)
        {
            var directory = Tables + ((2 + (i / 512)) * PageBytes);
            var guest = i * LargePageBytes;
            Write(Tables + PageBytes + (i / 512 * 8), directory | table);
            Write(directory + (i % 512 * 8), (guest < X64Machine.LowMemoryEnd ? guest : guest - X64Machine.LowMemoryEnd + X64Machine.HighMemoryStart) | largePage);
        }
    }

    private void Write(ulong address, ulong value)
    {
        Span<byte> bytes = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        Machine.Memory.Write(address, bytes);
    }

    private void Enter(IVcpu vcpu, int index, ulong memoryBytes)
    {
        vcpu.Set(KvmRequests.SetMpState, new byte[4]); // KVM_MP_STATE_RUNNABLE
        var entry = new GuestEntry { General = default!, Cr3 = Tables, Avx = false };
        kvm_sregs special = default;
        var bytes = MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref special, 1));
        vcpu.Get(KvmRequests.GetSregs, bytes);
        (special.cr0, special.cr3, special.cr4, special.efer) = (entry.Cr0, entry.Cr3, entry.Cr4, entry.Efer);
        special.cs = X64GuestProgram.Segment(entry.Cs);
        special.ss = special.ds = special.es = special.fs = special.gs = X64GuestProgram.Segment(entry.Data);
        special.tr = X64GuestProgram.Segment(entry.Tr);
        special.ldt = X64GuestProgram.Segment(entry.Ldt);
        (special.gdt, special.idt) = (default, default);
        vcpu.Set(KvmRequests.SetSregs, bytes);

        var pages = (memoryBytes - Area) / PageBytes / (ulong)_vcpus;
        var area = Area + ((ulong)index * pages * PageBytes);
        var own = Own + ((ulong)index * PageBytes);
        // rax rbx rcx rdx rsi rdi rsp rbp r8 … r15 rip rflags
        Span<ulong> general = [0, 0, 0, 0, area, own, 0, 0, pages, Stride(pages), 0, 0, Control, 0, 0, 0, Code, 2];
        vcpu.Set(KvmRequests.SetRegs, MemoryMarshal.AsBytes(general));
    }

    // Prime to the number of pages: the walk then visits every page before it comes back to one.
    private static ulong Stride(ulong pages)
    {
        var stride = (pages * 618 / 1000) | 1;
        while (CommonDivisor(pages, stride) != 1)
            stride += 2;
        return stride;
    }

    private static ulong CommonDivisor(ulong a, ulong b)
    {
        while (b != 0)
            (a, b) = (b, a % b);
        return a;
    }
}
