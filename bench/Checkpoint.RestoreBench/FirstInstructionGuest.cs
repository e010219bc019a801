using System.Diagnostics;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.RestoreBench;

/// <summary>
/// A guest whose first instruction writes to a port, and which then spins; the rest of its memory is noise. bench/restore/restore.c
/// runs the same.
/// </summary>
internal sealed class FirstInstructionGuest : IExitHandler
{
    private const ulong Code = 0x1000;
    private const ulong Tables = 0x2000;
    private const ulong Noise = 0x10_0000;
    private const int Rdx = 3;
    private const int Rip = 16;
    private const int Rflags = 17;

    private readonly TaskCompletionSource<long> _first = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>When the first instruction was seen, as <see cref="Stopwatch.GetTimestamp"/>.</summary>
    public Task<long> First => _first.Task;

    /// <summary>Builds a machine with the guest in it, which has not run.</summary>
    public static X64Machine Create(IKvm kvm, ulong memoryBytes)
    {
        var machine = X64Machine.Create(kvm, X64Machine.Describe(kvm, 1, memoryBytes, InterruptChip.None));
        machine.Memory.Write(0x66, [0x68]); // The task state's map of ports allows all.
        machine.Memory.Write(Code, [0xee, 0xf3, 0x90, 0xeb, 0xfc]); // out %al,(%dx); 1: pause; jmp 1b
        ulong[] roots = [(Tables + 0x1000) | 0x27, (Tables + 0x2000) | 0x27];
        machine.Memory.Write(Tables, MemoryMarshal.AsBytes(roots.AsSpan(0, 1)));
        machine.Memory.Write(Tables + 0x1000, MemoryMarshal.AsBytes(roots.AsSpan(1, 1)));
        ulong[] pages = [.. Enumerable.Range(0, (int)Math.Min(512, memoryBytes >> 21)).Select(i => ((ulong)i << 21) | 0xe7)];
        machine.Memory.Write(Tables + 0x2000, MemoryMarshal.AsBytes(pages.AsSpan()));
        var random = new Random(1);
        for (var at = Noise; at < memoryBytes; at += Noise)
            machine.Memory.Fill(at, (int)Noise, random, static (span, random) => random.NextBytes(span));
        Enter(machine.Vcpus[0].Vcpu);
        return machine;
    }

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        _first.TrySetResult(Stopwatch.GetTimestamp());
        return ExitAction.Continue;
    }

    private static void Enter(IVcpu vcpu)
    {
        // struct kvm_sregs: eight segments of 24 bytes, two tables of 16, then cr0, cr2, cr3, cr4, cr8, efer.
        var sregs = new byte[KvmRequests.GetSregs.ArgumentSize];
        vcpu.Get(KvmRequests.GetSregs, sregs);
        Segment(sregs.AsSpan(0), 0x33, type: 11, isLong: true);
        for (var data = 1; data <= 5; data++)
            Segment(sregs.AsSpan(24 * data), 0x2b, type: 3, isLong: false);
        var task = sregs.AsSpan(24 * 6, 24);
        task.Clear();
        MemoryMarshal.Write(task[8..], 0x3ffu);
        MemoryMarshal.Write(task[12..], (ushort)0x40);
        (task[14], task[15]) = (11, 1);
        var local = sregs.AsSpan(24 * 7, 24);
        local.Clear();
        (local[14], local[21]) = (2, 1);
        MemoryMarshal.Write(sregs.AsSpan(200), (ushort)0);
        MemoryMarshal.Write(sregs.AsSpan(216), (ushort)0);
        MemoryMarshal.Write(sregs.AsSpan(224), 0x8005_0033UL);
        MemoryMarshal.Write(sregs.AsSpan(240), Tables);
        MemoryMarshal.Write(sregs.AsSpan(248), 0x620UL);
        MemoryMarshal.Write(sregs.AsSpan(264), 0x500UL);
        vcpu.Set(KvmRequests.SetSregs, sregs);
        var regs = new ulong[18];
        (regs[Rdx], regs[Rip], regs[Rflags]) = (0xc30, Code, 2);
        vcpu.Set(KvmRequests.SetRegs, MemoryMarshal.AsBytes(regs.AsSpan()));
    }

    private static void Segment(Span<byte> segment, ushort selector, byte type, bool isLong)
    {
        // base, limit, selector, type, present, dpl, db, s, l, g, avl, unusable.
        segment[..24].Clear();
        MemoryMarshal.Write(segment[8..], uint.MaxValue);
        MemoryMarshal.Write(segment[12..], selector);
        segment[14] = type;
        segment[15] = 1;
        segment[16] = 3;
        segment[17] = isLong ? (byte)0 : (byte)1;
        segment[18] = 1;
        segment[19] = isLong ? (byte)1 : (byte)0;
        segment[20] = 1;
    }
}
