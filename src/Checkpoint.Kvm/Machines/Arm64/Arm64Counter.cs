using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>
/// The guest's time: counters that all its vCPUs share, which tick at a frequency of the host. A guest is told of that frequency
/// at its boot and never asks again, so it is part of the state and a host with another one is refused.
/// </summary>
/// <param name="hz">CNTFRQ_EL0; 0 where nobody knows.</param>
internal sealed class Arm64Counter(ulong hz)
{
    private static readonly ulong[] s_counters = [Arm64SystemRegisters.IdOf("CNTVCT_EL0"), Arm64SystemRegisters.IdOf("CNTPCT_EL0")];

    /// <summary>Whether a register is a counter that goes on by itself.</summary>
    public static bool IsCounter(ulong id) => s_counters.Contains(id);

    public IEnumerable<StateItem> Items()
    {
        if (hz == 0)
            yield break;
        var value = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(value, hz);
        yield return new StateItem(Arm64StateIds.CounterHz, value);
    }

    /// <summary>A vCPU's state as it would be some time later; earlier it never gets.</summary>
    /// <exception cref="NotSupportedException">Nobody knows how fast this host's counter counts.</exception>
    public StateList Advance(StateList vcpu, TimeSpan passed)
    {
        if (hz == 0)
            throw new NotSupportedException("This machine's clock can't be advanced: its counter's frequency is not known; freeze it.");
        var ticks = passed <= TimeSpan.Zero ? 0 : (ulong)((UInt128)passed.Ticks * hz / TimeSpan.TicksPerSecond);
        return StateList.Create(vcpu.Select(item => IsCounter(item.Id) && item.Value.Length == sizeof(ulong) ? Later(item, ticks) : item));
    }

    private static StateItem Later(StateItem item, ulong ticks)
    {
        var value = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(value, BinaryPrimitives.ReadUInt64LittleEndian(item.Value.Span) + ticks);
        return item with { Value = value };
    }
}
