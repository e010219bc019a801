using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Machines;

/// <summary>Says where a guest of this program stands in a stored checkpoint, from its registers and its memory.</summary>
internal static class StoredGuest
{
    // Where the counter keeps x(n), n and the address of the vCPU's own page: x0, x3 and x4 on arm64.
    private const int Arm64X = 0;
    private const int Arm64N = 3;
    private const int Arm64OwnPage = 4;

    // The same on x64, and the program counter, in the order of struct kvm_regs.
    private const int Rbx = 1;
    private const int Rdi = 5;
    private const int Rbp = 7;
    private const int Rip = 16;

    /// <summary>Null where the machine has another guest, or the checkpoint has no memory.</summary>
    /// <exception cref="IntegrityException">The memory is damaged.</exception>
    public static async Task<ShownGuest?> ExamineAsync(
        CheckpointStore store, string vm, MachineEvent.CheckpointCommitted committed, StateDocument document, CancellationToken cancellationToken)
    {
        var device = document.Devices.FirstOrDefault(each => each.Name == GuestMachine.DeviceName);
        if (device is null || committed.Segment is null)
            return null;
        using var stored = await store.OpenMemoryAsync(vm, committed, cancellationToken).ConfigureAwait(false);
        using var guest = GuestMachine.Restore(new StoredMachine(document.Machine, stored), device.State.Span);
        var verdict = guest.Verify(document.Vcpus);
        return new ShownGuest(
            guest.Program.Kind.ToString().ToLowerInvariant(),
            Hex.Of(guest.Program.LoopStart),
            Hex.Of(guest.Program.LoopEnd),
            verdict.Ok,
            verdict.Steps,
            verdict.Failures,
            [.. document.Vcpus.Select((state, vcpu) => StepOf(guest, vcpu, state))]);
    }

    private static ShownStep StepOf(GuestMachine guest, int vcpu, StateList state)
    {
        var isX64 = guest.Program.Options.Architecture == MachineArchitecture.X64;
        var registers = isX64 ? OfX64(state) : OfArm64(state);
        var isInLoop = registers.Pc >= guest.Program.LoopStart && registers.Pc < guest.Program.LoopEnd;
        var step = new ShownStep(vcpu, isX64 ? Hex.Of(registers.Pc) : null, Hex.Of(registers.Pc), isInLoop, null, null, null, null);
        if (guest.Program.Kind != GuestKind.Counter)
            return step;

        // In the vCPU's own page first x(n), then n.
        Span<byte> memory = stackalloc byte[2 * sizeof(ulong)];
        guest.Machine.Memory.Read(registers.OwnPage, memory);
        return step with
        {
            NRegister = registers.N,
            NMemory = BinaryPrimitives.ReadUInt64LittleEndian(memory[sizeof(ulong)..]),
            XRegister = Hex.Of(registers.X),
            XMemory = Hex.Of(BinaryPrimitives.ReadUInt64LittleEndian(memory)),
        };
    }

    private static CounterRegisters OfX64(StateList state)
    {
        state.TryGet(StateIds.X64Regs, out var bytes);
        var registers = MemoryMarshal.Cast<byte, ulong>(bytes.Span);
        return new CounterRegisters(registers[Rip], registers[Rbp], registers[Rbx], registers[Rdi]);
    }

    private static CounterRegisters OfArm64(StateList state)
    {
        var registers = Arm64GuestRegisters.Of(state);
        return new CounterRegisters(registers.Pc, registers.X[Arm64N], registers.X[Arm64X], registers.X[Arm64OwnPage]);
    }

    /// <summary>Where a vCPU stands; but for the program counter only the counter has them.</summary>
    private readonly record struct CounterRegisters(ulong Pc, ulong N, ulong X, ulong OwnPage);
}
