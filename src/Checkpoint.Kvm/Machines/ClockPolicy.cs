namespace Checkpoint.Kvm.Machines;

/// <summary>What a restored guest's clock does with the time between the checkpoint and the restore.</summary>
public enum ClockPolicy
{
    /// <summary>The clock goes on from the checkpoint's value.</summary>
    Freeze,

    /// <summary>The clock jumps ahead by the wall-clock time since the checkpoint.</summary>
    Advance,
}
