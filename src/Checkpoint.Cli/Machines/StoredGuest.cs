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
    // The order of struct kvm_regs.
    private const int Rbx = 1;
    private const int Rdi = 5;
    private const int Rbp = 7;
    private const int Rip = 16;

    /// <summary>Null where the machine has another guest, or the checkpoint has no memory of its own or only a part of it.</summary>
    /// <exception cref="IntegrityException">The memory is damaged.</exception>
    public static ShownGuest? Examine(CheckpointStore store, string vm, MachineEvent.CheckpointCommitted committed, StateDocument document)
    {
        var device = document.Devices.FirstOrDefault(each => each.Name == GuestMachine.DeviceName);
        if (device is null || committed.Segment is null || committed.Mode != CheckpointMode.Full)
            return null;
        using var segment = store.Segments.Open(vm, committed);
        using var guest = GuestMachine.Restore(new StoredMachine(document.Machine, segment), device.State.Span);
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
        state.TryGet(StateIds.X64Regs, out var bytes);
        var registers = MemoryMarshal.Cast<byte, ulong>(bytes.Span);
        var rip = registers[Rip];
        var isInLoop = rip >= guest.Program.LoopStart && rip < guest.Program.LoopEnd;
        if (guest.Program.Kind != GuestKind.Counter)
            return new ShownStep(vcpu, Hex.Of(rip), isInLoop, null, null, null, null);

        // The counter's registers: x(n) in rbx, n in rbp; in the vCPU's own page, which rdi points at, first x(n), then n.
        Span<byte> memory = stackalloc byte[2 * sizeof(ulong)];
        guest.Machine.Memory.Read(registers[Rdi], memory);
        var x = BinaryPrimitives.ReadUInt64LittleEndian(memory);
        var n = BinaryPrimitives.ReadUInt64LittleEndian(memory[sizeof(ulong)..]);
        return new ShownStep(vcpu, Hex.Of(rip), isInLoop, registers[Rbp], n, Hex.Of(registers[Rbx]), Hex.Of(x));
    }
}
