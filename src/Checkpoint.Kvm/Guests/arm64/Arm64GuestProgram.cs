using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>A guest for AArch64: EL1, memory mapped to itself, talking to its device by loads and stores.</summary>
public abstract class Arm64GuestProgram : GuestProgram
{
    /// <summary>PSTATE at the start: EL1 with its own stack pointer, debug, SError, IRQ and FIQ masked.</summary>
    internal const ulong InitialPstate = 0x3c5;

    private const ulong ConditionFlags = 0xf000_0000;

    // SCTLR_EL1: the bits that are always one (11, 20, 22, 23, 28, 29), MMU, data cache and instruction cache on.
    private const ulong SystemControl = 0x30d0_0800 | (1 << 0) | (1 << 2) | (1 << 12);

    // CPACR_EL1.FPEN: vector registers without a trap.
    private const ulong CoprocessorAccess = 3UL << 20;

    private protected Arm64GuestProgram(GuestOptions options)
        : base(options)
    {
        if (options.MemoryBytes == 0 || options.MemoryBytes % PageBytes != 0 || options.MemoryBytes > Arm64PageTable.DeviceBlock)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.MemoryBytes, "Guest memory is whole pages of 4096 bytes, at most 511 GiB.");
        }
    }

    internal override ulong OwnPages => TablesAddress + Arm64PageTable.Bytes;

    internal override ulong HighestAddress => Arm64PageTable.DeviceBlock;

    /// <summary>Makes a guest for AArch64.</summary>
    public static new Arm64GuestProgram Create(GuestKind kind, GuestOptions options) =>
        (Arm64GuestProgram)GuestProgram.Create(kind, options with { Architecture = MachineArchitecture.Arm64 });

    /// <summary>The registers that a vCPU starts with and that differ from those after KVM_ARM_VCPU_INIT, by id.</summary>
    /// <param name="vcpu">The vCPU's index.</param>
    public IReadOnlyList<(ulong Id, ulong Value)> Entry(int vcpu)
    {
        RequireVcpu(vcpu);
        return
        [
            (Arm64SystemRegisters.IdOf("MAIR_EL1"), Arm64PageTable.MemoryAttributes),
            (Arm64SystemRegisters.IdOf("TCR_EL1"), Arm64PageTable.Control),
            (Arm64SystemRegisters.IdOf("TTBR0_EL1"), TablesAddress),
            (Arm64SystemRegisters.IdOf("CPACR_EL1"), CoprocessorAccess),
            (Arm64SystemRegisters.IdOf("SCTLR_EL1"), SystemControl),
            .. EntryRegisters(vcpu).Select(each => (Arm64Registers.X(each.Number), each.Value)),
            (Arm64Registers.Pc, CodeStart),
            (Arm64Registers.Pstate, InitialPstate),
        ];
    }

    /// <inheritdoc/>
    public override GuestVerdict Verify(ReadGuestMemory read, IReadOnlyList<StateList> vcpus, SequenceDevice device) =>
        Verify(read, [.. vcpus.Select(Arm64GuestRegisters.Of)], device);

    /// <summary>
    /// Says whether memory, registers and device are of one moment. The vCPUs may have stopped at any instruction, with
    /// MMIO completed.
    /// </summary>
    public GuestVerdict Verify(ReadGuestMemory read, IReadOnlyList<Arm64GuestRegisters> vcpus, SequenceDevice device)
    {
        RequireAll(vcpus.Count, device);
        return VerifyAll(read, vcpus, device);
    }

    internal override void Enter(IVcpu vcpu, int index)
    {
        var entry = Entry(index);
        var image = RegisterImage.Create(RegisterBatching.OneReg, entry.Select(each => each.Id));
        for (var i = 0; i < entry.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(image.ValueOf(i), entry[i].Value);
        image.WriteAll(vcpu);
    }

    private protected override void LoadSystem(Action<ulong, ReadOnlyMemory<byte>> write) =>
        write(TablesAddress, Arm64PageTable.Create());

    /// <summary>The general registers that a vCPU starts with; the others are 0.</summary>
    private protected abstract IEnumerable<(int Number, ulong Value)> EntryRegisters(int vcpu);

    private protected abstract GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<Arm64GuestRegisters> vcpus, SequenceDevice device);

    /// <summary>Checks registers that only the start writes. Some differ by vCPU, so a vCPU with another's registers is found.</summary>
    private protected void CheckConstants(Findings findings, Arm64GuestRegisters found, params ReadOnlySpan<(int Number, string Meaning)> constants)
    {
        var expected = EntryRegisters(findings.Vcpu).ToDictionary(each => each.Number, each => each.Value);
        foreach (var (number, meaning) in constants)
            findings.Equal($"x{number} ({meaning})", expected[number], found.X[number]);
    }

    /// <summary>
    /// Checks that the vCPU is in its code and has not stopped, and that PSTATE has only ever changed by comparisons. False if
    /// it is not in the loop or before it, where the rules of a step would mean nothing.
    /// </summary>
    private protected bool CheckPlace(Findings findings, Arm64GuestRegisters registers, ReadGuestMemory read, ulong errorOffset)
    {
        findings.Equal("pstate without the condition flags", InitialPstate, registers.Pstate & ~ConditionFlags);
        return CheckPlace(findings, "pc", registers.Pc, read, errorOffset);
    }
}
