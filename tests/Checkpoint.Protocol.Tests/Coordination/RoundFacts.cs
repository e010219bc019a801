using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>Who was told what in a round, and who has said what; participants are bits.</summary>
internal sealed class RoundFacts(RoundId id)
{
    private uint _overdue;

    public RoundId Id { get; } = id;

    public uint ToldToPrepare { get; set; }

    public uint Prepared { get; set; }

    public uint Settled { get; set; }

    public uint ToldToPark { get; set; }

    public uint Parked { get; set; }

    public uint ToldToCapture { get; set; }

    public uint Captured { get; set; }

    public uint ToldToResume { get; set; }

    /// <summary>Who was told to run and has said that it does, or that it cannot.</summary>
    public uint Runs { get; set; }

    public bool IsToldToStore { get; set; }

    public bool IsStored { get; set; }

    public bool IsLost { get; set; }

    public bool IsDiscarded { get; set; }

    public bool IsCommitted { get; set; }

    /// <summary>What the round was begun as.</summary>
    public CheckpointMode Mode { get; set; }

    /// <summary>Notes a deadline that came in this phase; those of phases that are over say nothing.</summary>
    public void NoteDeadline(RoundPhase deadline, RoundPhase phase)
    {
        // The deadline of the vCPUs runs from when they were told to run, whether or not the disk has begun.
        if (deadline == phase || (deadline, phase) == (RoundPhase.Storing, RoundPhase.ResumingVcpus))
            _overdue |= 1u << (int)deadline;
    }

    public bool Was(RoundPhase overdue) => (_overdue & (1u << (int)overdue)) != 0;
}
