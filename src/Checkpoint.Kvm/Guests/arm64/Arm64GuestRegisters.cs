using System.Buffers.Binary;
using System.Collections.Immutable;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>What verification needs of one arm64 vCPU.</summary>
/// <param name="X">x0 to x30.</param>
/// <param name="Pc">pc.</param>
/// <param name="Pstate">PSTATE in the layout of SPSR_EL1.</param>
/// <param name="V">
/// Vector registers by number, the low 128 bits as 16 bytes, little endian. A vCPU with SVE has them in its Z registers. One
/// that the state has not is not here.
/// </param>
public sealed record Arm64GuestRegisters(
    ImmutableArray<ulong> X, ulong Pc, ulong Pstate, ImmutableDictionary<int, ReadOnlyMemory<byte>> V)
{
    /// <summary>Where an exception came from: ELR_EL1.</summary>
    public ulong ElrEl1 { get; init; }

    /// <summary>How many general registers there are, xzr not counted.</summary>
    public const int GeneralRegisters = 31;

    /// <summary>How many vector registers there are.</summary>
    public const int VectorRegisters = 32;

    private const int VectorBytes = 16;

    private static readonly ulong s_elrEl1 = Arm64Registers.CoreRegisters.Single(each => each.Name == "elr_el1").Id;

    /// <summary>Takes the registers out of a vCPU's state.</summary>
    /// <exception cref="InvalidDataException">The state has no general registers.</exception>
    public static Arm64GuestRegisters Of(StateList state) => new(
        [.. Enumerable.Range(0, GeneralRegisters).Select(i => Word(state, Arm64Registers.X(i)))],
        Word(state, Arm64Registers.Pc),
        Word(state, Arm64Registers.Pstate),
        Vectors(state))
    {
        ElrEl1 = Word(state, s_elrEl1),
    };

    /// <summary>Half of a vector register as a number; null where the state has not got it.</summary>
    public ulong? Lane(int register, int lane) =>
        V.TryGetValue(register, out var bytes) ? BinaryPrimitives.ReadUInt64LittleEndian(bytes.Span[(8 * lane)..]) : null;

    private static ImmutableDictionary<int, ReadOnlyMemory<byte>> Vectors(StateList state)
    {
        var vectors = ImmutableDictionary.CreateBuilder<int, ReadOnlyMemory<byte>>();
        for (var i = 0; i < VectorRegisters; i++)
        {
            if ((state.TryGet(Arm64Registers.V(i), out var value) || state.TryGet(Arm64Registers.Z(i), out value)) && value.Length >= VectorBytes)
                vectors.Add(i, value[..VectorBytes]);
        }

        return vectors.ToImmutable();
    }

    private static ulong Word(StateList state, ulong id) =>
        state.TryGet(id, out var value) && value.Length == sizeof(ulong)
            ? BinaryPrimitives.ReadUInt64LittleEndian(value.Span)
            : throw new InvalidDataException($"The vCPU's state has no register {RegisterNames.NameOf(id)}.");
}
