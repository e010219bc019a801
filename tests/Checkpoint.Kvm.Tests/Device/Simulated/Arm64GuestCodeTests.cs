using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

/// <summary>The instructions of the arm64 guests, run from the guests' own code.</summary>
public sealed class Arm64GuestCodeTests
{
    private const ulong CodeAddress = 0x1000;
    private const ulong OwnPage = 0x8000;
    private const ulong DeviceAddress = 0x80_0000;
    private const ulong Steps = 1 << 12;

    [Fact]
    public void The_counter_counts_in_every_carrier_and_reads_its_device()
    {
        using var one = new OneVcpu(new() { Architecture = MachineArchitecture.Arm64 }, 1 << 2);
        using var memory = Load(one, Arm64CounterCode.Bytes);
        var step = StepFunction.Guest;
        // x: value, multiplier, increment, n, own page, working area and length, next page, taken, masks, device.
        ulong[] x = [1, step.Multiplier, step.Increment, 0, OwnPage, 0x1_0000, 0x4000, 0, 0, 63, 255, DeviceAddress];
        for (var i = 0; i < x.Length; i++)
            Set(one, Arm64Registers.X(i), x[i]);
        var taken = 0u;
        while (taken < Steps / 256)
            Answer(one.Vcpu.Run(), ref taken);

        // The exit of the last number is still open: the step before it is complete in every carrier.
        var n = Word(one, Arm64Registers.X(3));
        Assert.Equal(Steps, n);
        Assert.Equal(step.Jump(1, n), Word(one, Arm64Registers.X(0)));
        var vector = new byte[16];
        one.Vcpu.GetOneReg(Arm64Registers.V(15), vector);
        Assert.Equal((n, n), (BinaryPrimitives.ReadUInt64LittleEndian(vector), BinaryPrimitives.ReadUInt64LittleEndian(vector.AsSpan(8))));
        var page = new byte[32];
        memory.Read(OwnPage, page);
        Assert.Equal((n, 0ul), (BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan((int)Arm64CounterCode.PageOfN)), BinaryPrimitives.ReadUInt64LittleEndian(page.AsSpan((int)Arm64CounterCode.PageOfError))));
        // The fourth page of the working area was written last, and the next is the first.
        memory.Read(0x1_3000, page);
        Assert.Equal((n, 0ul), (BinaryPrimitives.ReadUInt64LittleEndian(page), Word(one, Arm64Registers.X(7))));
    }

    [Fact]
    public void The_ledger_keeps_every_token_once()
    {
        using var one = new OneVcpu(new() { Architecture = MachineArchitecture.Arm64 }, 1 << 2);
        using var memory = Load(one, Arm64LedgerCode.Bytes);
        var step = StepFunction.Guest;
        // x: random, multiplier, steps, hops, own page, slots, slot mask, increment, taken, unused, exit mask, device.
        ulong[] x = [1, step.Multiplier, 0, 0, OwnPage, 0x1_0000, 0x3000, step.Increment, 0, 0, 63, DeviceAddress];
        for (var i = 0; i < x.Length; i++)
            Set(one, Arm64Registers.X(i), x[i]);
        for (var slot = 0; slot < 4; slot++)
            memory.Write(0x1_0000 + ((ulong)slot << 12), [(byte)(slot + 1)]);
        var taken = 0u;
        while (taken < 32)
            Answer(one.Vcpu.Run(), ref taken);

        var tokens = new List<ulong>();
        for (var slot = 0; slot < 4; slot++)
        {
            var word = new byte[8];
            memory.Read(0x1_0000 + ((ulong)slot << 12), word);
            tokens.Add(BinaryPrimitives.ReadUInt64LittleEndian(word));
        }

        for (var hand = 19; hand <= 22; hand++)
            tokens.Add(Word(one, Arm64Registers.X(hand)));
        Assert.Equal([1ul, 2, 3, 4], tokens.Where(token => token != 0).Select(token => token & 0xffff).Order().ToArray());
        Assert.Equal(Word(one, Arm64Registers.X(3)), tokens.Aggregate(0ul, (sum, token) => sum + (token >> 16)));
    }

    private static void Answer(in VcpuExit exit, ref uint taken)
    {
        Assert.Equal(VcpuExitReason.Mmio, exit.Reason);
        Assert.Equal(4, exit.AccessSize);
        if (exit.IsWrite)
            Assert.Equal((DeviceAddress + 4, taken), (exit.GuestAddress, BinaryPrimitives.ReadUInt32LittleEndian(exit.Data)));
        else
            BinaryPrimitives.WriteUInt32LittleEndian(exit.Data, ++taken);
    }

    private static SimulatedMemory Load(OneVcpu one, ReadOnlySpan<byte> code)
    {
        var memory = one.Vm.CreateMemory([new MemoryRegion(0, 0, 0, 0x2_0000)]);
        memory.Write(CodeAddress, code);
        Set(one, Arm64Registers.Pc, CodeAddress);
        return memory;
    }

    private static void Set(OneVcpu one, ulong id, ulong value) => one.Vcpu.SetOneReg(id, BitConverter.GetBytes(value));

    private static ulong Word(OneVcpu one, ulong id)
    {
        var value = new byte[8];
        one.Vcpu.GetOneReg(id, value);
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }
}
