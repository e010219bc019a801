using System.Buffers.Binary;
using System.Collections.Immutable;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Tests.Guests.Arm64;

/// <summary>
/// A guest's memory, vCPUs and device as plain values, and just enough of A64 to run the guests one instruction at a time: the
/// forms that counter.S lists. Any other word fails the test.
/// </summary>
internal sealed class Arm64Stepper
{
    private readonly Vcpu[] _vcpus;

    public Arm64Stepper(Arm64GuestProgram program)
    {
        Program = program;
        Memory = new byte[program.UsedMemoryBytes];
        program.Load((address, bytes) => bytes.CopyTo(Memory.AsMemory((int)address)));
        Device = new SequenceDevice(program.Options.Vcpus);
        _vcpus = [.. Enumerable.Range(0, program.Options.Vcpus).Select(i => new Vcpu(program.Entry(i)))];
    }

    public Arm64GuestProgram Program { get; }

    public byte[] Memory { get; }

    public SequenceDevice Device { get; }

    public ulong Offset(int vcpu) => _vcpus[vcpu].Pc - Program.CodeStart;

    public ulong[] X(int vcpu) => _vcpus[vcpu].X;

    public ulong[] V(int vcpu) => _vcpus[vcpu].V;

    public void SetPc(int vcpu, ulong pc) => _vcpus[vcpu].Pc = pc;

    public void SetPstate(int vcpu, ulong pstate) => _vcpus[vcpu].Pstate = pstate;

    public ulong Word(ulong address) => BinaryPrimitives.ReadUInt64LittleEndian(Memory.AsSpan((int)address));

    public void SetWord(ulong address, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(Memory.AsSpan((int)address), value);

    public GuestVerdict Verify() => Program.Verify(
        (address, destination) => Memory.AsSpan((int)address, destination.Length).CopyTo(destination),
        [.. _vcpus.Select(vcpu => vcpu.ToRegisters())],
        Device);

    public void Swap(int one, int other) => (_vcpus[one], _vcpus[other]) = (_vcpus[other], _vcpus[one]);

    /// <summary>Runs one instruction.</summary>
    public void Step(int index)
    {
        var vcpu = _vcpus[index];
        var word = BinaryPrimitives.ReadUInt32LittleEndian(Memory.AsSpan((int)vcpu.Pc));
        vcpu.Pc += 4;
        if (!Integer(vcpu, word) && !Access(vcpu, index, word) && !Branch(vcpu, word) && !Vector(vcpu, word))
            Assert.Fail($"0x{vcpu.Pc - 4:x}: the word 0x{word:x8} is none of the forms that counter.S lists.");
    }

    private static bool Integer(Vcpu vcpu, uint word)
    {
        var (d, n, m) = ((int)word & 31, (int)(word >> 5) & 31, (int)(word >> 16) & 31);
        var is64 = word >> 31 != 0;
        var shifted = ((word >> 10) & 0xfff) << ((word & (1 << 22)) != 0 ? 12 : 0);
        var mask = (1UL << (int)(((word >> 10) & 63) + 1)) - 1; // A bitmask of low ones, which is all that the guests use.
        switch (word)
        {
            case var w when (w & 0xffe08000) == 0x9b000000:
                vcpu[d] = (vcpu[n] * vcpu[m]) + vcpu[(int)(w >> 10) & 31];
                return true;
            case var w when (w & 0x7f800000) == 0x11000000:
                vcpu[d] = is64 ? vcpu[n] + shifted : (uint)vcpu[n] + shifted;
                return true;
            case var w when (w & 0x7f800000) == 0x71000000:
                vcpu[d] = vcpu.Compare(vcpu[n], shifted, is64);
                return true;
            case var w when (w & 0xffe0fc00) == 0x8b000000:
                vcpu[d] = vcpu[n] + vcpu[m];
                return true;
            case var w when (w & 0x7fe0fc00) == 0x6b000000:
                vcpu[d] = vcpu.Compare(vcpu[n], vcpu[m], is64);
                return true;
            case var w when (w & 0xffe0fc00) == 0xea000000:
                vcpu[d] = vcpu.Test(vcpu[n] & vcpu[m]);
                return true;
            case var w when (w & 0xffe0fc00) == 0x8a000000:
                vcpu[d] = vcpu[n] & vcpu[m];
                return true;
            case var w when (w & 0xffff0000) == 0x92400000:
                vcpu[d] = vcpu[n] & mask;
                return true;
            case var w when (w & 0xffff0000) == 0x72000000:
                vcpu[d] = vcpu.Test(vcpu[n] & mask);
                return true;
            case var w when (w & 0xffc00000) == 0xd3400000:
                var (r, s) = ((int)(w >> 16) & 63, (int)(w >> 10) & 63);
                Assert.True(s == 63 || s + 1 == r, "UBFM stands for LSR or LSL.");
                vcpu[d] = s == 63 ? vcpu[n] >> r : vcpu[n] << (63 - s);
                return true;
            case var w when (w & 0xffe00000) == 0xd2800000:
                vcpu[d] = (w >> 5) & 0xffff;
                return true;
            case var w when (w & 0xffe0fc00) == 0x9a802000: // HS
                vcpu[d] = vcpu.Carry ? vcpu[n] : vcpu[m];
                return true;
            default:
                return word == 0xd503203f; // YIELD
        }
    }

    private bool Access(Vcpu vcpu, int index, uint word)
    {
        var (t, n, m) = ((int)word & 31, (int)(word >> 5) & 31, (int)(word >> 16) & 31);
        var scaled = (word >> 10) & 0xfff;
        Span<byte> data = stackalloc byte[4];
        switch (word)
        {
            case var w when (w & 0xffc00000) == 0xf9000000:
                SetWord(vcpu[n] + (8 * scaled), vcpu[t]);
                return true;
            case var w when (w & 0xffe0fc00) == 0xf8206800:
                SetWord(vcpu[n] + vcpu[m], vcpu[t]);
                return true;
            case var w when (w & 0xffc00000) == 0xb9000000:
                BinaryPrimitives.WriteUInt32LittleEndian(data, (uint)vcpu[t]);
                Assert.True(Device.TryWrite(index, SequenceDevice.PortAt(vcpu[n] + (4 * scaled))!.Value, data));
                return true;
            case var w when (w & 0xffc00000) == 0xb9400000:
                Assert.True(Device.TryRead(index, SequenceDevice.PortAt(vcpu[n] + (4 * scaled))!.Value, data));
                vcpu[t] = BinaryPrimitives.ReadUInt32LittleEndian(data);
                return true;
            case var w when (w & 0xffe0fc00) == 0xf8e08000:
                var (address, given) = (vcpu[n], vcpu[m]);
                vcpu[t] = Word(address);
                SetWord(address, given);
                return true;
            default:
                return false;
        }
    }

    private static bool Branch(Vcpu vcpu, uint word)
    {
        static long Signed(uint word, int low, int bits) => ((long)word << (64 - low - bits)) >> (64 - bits) << 2;
        var (taken, offset) = word switch
        {
            var w when (w & 0xfc000000) == 0x14000000 => (true, Signed(w, 0, 26)),
            var w when (w & 0xff00001f) == 0x54000001 => (!vcpu.Zero, Signed(w, 5, 19)),
            var w when (w & 0xff00001f) == 0x54000003 => (!vcpu.Carry, Signed(w, 5, 19)),
            var w when (w & 0xff000000) == 0xb4000000 => (vcpu[(int)w & 31] == 0, Signed(w, 5, 19)),
            var w when (w & 0xff000000) == 0x37000000 => (((vcpu[(int)w & 31] >> ((int)(w >> 19) & 31)) & 1) != 0, Signed(w, 5, 14)),
            _ => (false, 0L),
        };
        if (taken)
            vcpu.Pc = (ulong)((long)vcpu.Pc - 4 + offset);
        return taken || offset != 0;
    }

    private static bool Vector(Vcpu vcpu, uint word)
    {
        var (d, n, m) = ((int)word & 31, (int)(word >> 5) & 31, (int)(word >> 16) & 31);
        for (var lane = 0; lane < 2; lane++)
        {
            switch (word)
            {
                case var w when (w & 0xffffffe0) == 0x6f00e400:
                    vcpu.V[(2 * d) + lane] = 0;
                    break;
                case var w when (w & 0xfffffc00) == 0x4e080c00:
                    vcpu.V[(2 * d) + lane] = vcpu[n];
                    break;
                case var w when (w & 0xffe0fc00) == 0x4ee08400:
                    vcpu.V[(2 * d) + lane] = vcpu.V[(2 * n) + lane] + vcpu.V[(2 * m) + lane];
                    break;
                default:
                    return false;
            }
        }

        return true;
    }

    private sealed class Vcpu
    {
        private static readonly int[] s_usedVectors = [14, 15];

        public Vcpu(IReadOnlyList<(ulong Id, ulong Value)> entry)
        {
            var values = entry.ToDictionary(each => each.Id, each => each.Value);
            for (var i = 0; i < X.Length; i++)
                X[i] = values.GetValueOrDefault(Arm64Registers.X(i));
            (Pc, Pstate) = (values[Arm64Registers.Pc], values[Arm64Registers.Pstate]);
        }

        public ulong[] X { get; } = new ulong[Arm64GuestRegisters.GeneralRegisters];

        public ulong[] V { get; } = new ulong[2 * Arm64GuestRegisters.VectorRegisters];

        public ulong Pc { get; set; }

        public ulong Pstate { get; set; }

        public bool Zero => (Pstate & (1UL << 30)) != 0;

        public bool Carry => (Pstate & (1UL << 29)) != 0;

        // Register 31 reads as zero and takes what is thrown away.
        public ulong this[int register]
        {
            get => register == 31 ? 0 : X[register];
            set
            {
                if (register != 31)
                    X[register] = value;
            }
        }

        public ulong Compare(ulong left, ulong right, bool is64)
        {
            (left, right) = is64 ? (left, right) : ((uint)left, (uint)right);
            Flags(left == right, left >= right);
            return is64 ? left - right : (uint)(left - right);
        }

        public ulong Test(ulong result)
        {
            Flags(result == 0, false);
            return result;
        }

        public Arm64GuestRegisters ToRegisters() => new(
            [.. X],
            Pc,
            Pstate,
            s_usedVectors.ToImmutableDictionary(i => i, i => Bytes(V[2 * i], V[(2 * i) + 1])));

        private void Flags(bool zero, bool carry) => Pstate = (Pstate & 0x0fff_ffff) | (zero ? 1UL << 30 : 0) | (carry ? 1UL << 29 : 0);

        private static ReadOnlyMemory<byte> Bytes(ulong low, ulong high) => (byte[])[.. BitConverter.GetBytes(low), .. BitConverter.GetBytes(high)];
    }
}
