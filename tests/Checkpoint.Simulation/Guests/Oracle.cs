using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Guests;

/// <summary>What a machine was like at the moment of a capture, seen past the engine: a number for each page, and registers.</summary>
/// <param name="Pages">A number for each page's content, in the order of guest addresses.</param>
/// <param name="Registers">The general registers of each vCPU.</param>
internal sealed record SeenMoment(ulong[] Pages, ulong[][] Registers);

/// <summary>
/// Notes at each capture what the machine is like, past the engine and all that goes wrong, and puts the note's number into the
/// checkpoint as a device's state. So every checkpoint can be held against the moment that it claims to be.
/// </summary>
internal sealed class Oracle(World world, MachineProbe probe) : IDeviceState
{
    public const string DeviceName = "oracle";

    private const int PageWords = MemoryRegion.PageBytes / sizeof(ulong);
    private const int ComparedArm64Registers = 16;

    private readonly byte[] _state = new byte[sizeof(long)];

    public string Name => DeviceName;

    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture()
    {
        BinaryPrimitives.WriteInt64LittleEndian(_state, world.AddMoment(Look()));
        return _state;
    }

    /// <summary>The number of the note that a checkpoint has.</summary>
    public static long NumberOf(ReadOnlySpan<byte> state) => BinaryPrimitives.ReadInt64LittleEndian(state);

    /// <summary>A number for the content of a page.</summary>
    public static ulong NumberOfPage(ReadOnlySpan<byte> page)
    {
        // Four sums that do not wait for each other; equal pages have equal numbers, and no page here is made to collide.
        ulong a = 1, b = 2, c = 3, d = 4;
        var words = MemoryMarshal.Cast<byte, ulong>(page);
        for (var i = 0; i < PageWords; i += 4)
        {
            a = (a ^ words[i]) * 0x9e37_79b9_7f4a_7c15;
            b = (b ^ words[i + 1]) * 0xc2b2_ae3d_27d4_eb4f;
            c = (c ^ words[i + 2]) * 0x1656_67b1_9e37_79f9;
            d = (d ^ words[i + 3]) * 0x27d4_eb2f_1656_67c5;
        }

        return SeededRandom.Mix(a ^ SeededRandom.Mix(b ^ SeededRandom.Mix(c ^ SeededRandom.Mix(d))));
    }

    /// <summary>The general registers in a vCPU's state.</summary>
    public static ulong[] RegistersOf(MachineArchitecture architecture, StateList state)
    {
        if (architecture == MachineArchitecture.X64)
            return state.TryGet(StateIds.X64Regs, out var regs) ? MemoryMarshal.Cast<byte, ulong>(regs.Span).ToArray() : [];
        var found = new ulong[ComparedArm64Registers + 1];
        for (var i = 0; i < found.Length; i++)
            found[i] = state.TryGet(IdOf(i), out var value) ? BinaryPrimitives.ReadUInt64LittleEndian(value.Span) : 0;
        return found;
    }

    private static ulong IdOf(int place) => place < ComparedArm64Registers ? Arm64Registers.X(place) : Arm64Registers.Pc;

    /// <summary>What the machine is like now.</summary>
    public SeenMoment Look()
    {
        var page = new byte[MemoryRegion.PageBytes];
        var pages = new List<ulong>();
        var memory = probe.Memory!;
        foreach (var region in memory.Regions)
        {
            for (var at = 0UL; at < region.SizeBytes; at += MemoryRegion.PageBytes)
            {
                memory.Read(region.GuestAddress + at, page);
                pages.Add(NumberOfPage(page));
            }
        }

        return new SeenMoment([.. pages], [.. probe.Vcpus.Select(vcpu => Registers(vcpu.Inner))]);
    }

    private ulong[] Registers(IVcpu vcpu)
    {
        if (probe.Tenant.Shape.Architecture == MachineArchitecture.X64)
        {
            var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
            vcpu.Get(KvmRequests.GetRegs, regs);
            return MemoryMarshal.Cast<byte, ulong>(regs).ToArray();
        }

        var found = new ulong[ComparedArm64Registers + 1];
        for (var i = 0; i < found.Length; i++)
            vcpu.GetOneReg(IdOf(i), MemoryMarshal.AsBytes(found.AsSpan(i, 1)));
        return found;
    }
}
