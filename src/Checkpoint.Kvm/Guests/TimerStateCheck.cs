using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>Compares what of the timer guest lies in KVM's hands: debug registers, local APIC, deadline, and what is being delivered.</summary>
internal sealed class TimerStateCheck(TimerProgram program, Findings findings, StateList state, ReadGuestMemory read)
{
    private const ulong Breakpoint0 = 1; // DR6.B0

    private static readonly string[] s_debugNames = ["dr0", "dr1", "dr2", "dr3", "dr7"];

    private readonly int _vcpu = findings.Vcpu;
    private readonly ulong _page = program.OwnPage(findings.Vcpu);

    /// <summary>What the registers hold, and what the guest has ever read in them.</summary>
    public void CheckDebugRegisters(TimerPlace place)
    {
        var expected = program.DebugRegisters(_vcpu);
        for (var i = 0; i < expected.Length; i++)
            findings.Equal($"bits of {s_debugNames[i]} that the guest has read otherwise", 0, Word(TimerCode.PageOfWrongDebug + ((ulong)i * sizeof(ulong))));
        findings.Equal("bits of dr6 that the guest has read otherwise", 0, Word(TimerCode.PageOfWrongDr6));
        if (!state.TryGet(StateIds.X64DebugRegs, out var found))
        {
            findings.Add("the state has no debug registers");
            return;
        }

        // struct kvm_debugregs: db[4], dr6, dr7.
        var registers = MemoryMarshal.Cast<byte, ulong>(found.Span);
        for (var i = 0; i < expected.Length - 1; i++)
            findings.Equal(s_debugNames[i], expected[i], registers[i]);
        findings.Equal("dr7", expected[^1], registers[5]);

        // Just at the breakpoint the trap may be raised already, and not yet be delivered.
        if (place is not { Timer: TimerCode.Breakpoint, Trap: null })
            findings.Equal("dr6 (conditions met)", place.Trap < TimerCode.Dr6Cleared ? Breakpoint0 : 0, registers[4] & TimerCode.Dr6Conditions);
    }

    /// <summary>A tick is always on its way: armed, requested, being delivered, or in its handler before that has armed the next.</summary>
    public void CheckTimer(TimerPlace place)
    {
        if (!state.TryGet(StateIds.X64Lapic, out var lapic) || !state.TryGet(StateIds.X64VcpuEvents, out var events))
        {
            findings.Add("the state has no local APIC or no pending events");
            return;
        }

        var byDeadline = program.UsesDeadline(_vcpu);
        var pending = MemoryMarshal.Read<kvm_vcpu_events>(events.Span);
        var isInjected = pending.interrupt_injected != 0 && pending.interrupt_nr == TimerApic.Vector;
        TimerApic.CheckSettings(findings, lapic.Span, byDeadline);

        // In service without a handler it would keep every further tick away. In the handler it may be clear already: a KVM that runs
        // guests in the host's user mode ends an interrupt when it delivers it.
        if (!isInjected && (place.Timer is null || place.HasPassed(TimerCode.Acknowledged)))
            findings.Equal("lapic.isr of the timer's vector", 0, TimerApic.IsInService(lapic.Span) ? 1UL : 0);

        var isArmed = byDeadline ? Deadline() != 0 : TimerApic.IsCounting(lapic.Span);
        var isYetToArm = place.Timer is not null && !place.HasPassed(byDeadline ? TimerCode.ArmedDeadline : TimerCode.ArmedCount);
        if (!isArmed && !isInjected && !isYetToArm && !TimerApic.IsRequested(lapic.Span))
            findings.Add($"no tick is armed, requested or being delivered: {(byDeadline ? "IA32_TSC_DEADLINE" : "lapic.tmict")} is 0, so there will never be another");
    }

    private ulong Deadline() => state.TryGet(StateIds.X64Msr((uint)TimerCode.DeadlineMsr), out var deadline)
        ? BinaryPrimitives.ReadUInt64LittleEndian(deadline.Span)
        : 0;

    private ulong Word(ulong offset) => GuestProgram.Word(read, _page + offset);
}
