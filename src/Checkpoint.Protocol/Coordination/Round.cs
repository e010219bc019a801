using System.Collections.Immutable;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Coordination;

/// <summary>
/// One attempt at a checkpoint: who has reported what, and the effects that the pause needs, made before the pause begins so
/// that nothing is allocated while guests wait.
/// </summary>
internal sealed class Round
{
    private readonly Reported[] _reported;

    public Round(
        RoundId id,
        CoordinatorInput.BeginCheckpoint request,
        ImmutableArray<Participant> participants,
        MachineHistory history,
        CoordinatorOptions options,
        Moment now)
    {
        Id = id;
        Request = request;
        Begun = now;
        _reported = new Reported[participants.Length];
        Park = [.. participants.Select(p => new CoordinatorEffect.ParkParticipant(id, p.Index))];
        Capture = [.. participants.Select(p => new CoordinatorEffect.CaptureParticipant(id, p.Index))];
        DevicesMustResume = new CoordinatorEffect.SetDeadline(id, RoundPhase.ResumingDevices, options.ResumeDeadline);
        StoreAnyway = new CoordinatorEffect.SetDeadline(id, RoundPhase.ResumingVcpus, options.StoreGrace);
        VcpusMustResume = new CoordinatorEffect.SetDeadline(id, RoundPhase.Storing, options.ResumeDeadline);
        Store = new CoordinatorEffect.StoreParts(id, history.HighestNumber + 1, request.Id, history.Current);
        Resume = [.. participants.Select(p => new CoordinatorEffect.ResumeParticipant(id, p.Index))];
    }

    [Flags]
    private enum Reported : byte
    {
        Nothing = 0,
        Parked = 1,
        Captured = 2,
        Resumed = 4,
    }

    public RoundId Id { get; }

    public CoordinatorInput.BeginCheckpoint Request { get; }

    public Moment Begun { get; }

    public Moment AllParked { get; set; }

    public Moment AllCaptured { get; set; }

    public Moment AllToldToRun { get; set; }

    public Moment AllResumed { get; set; }

    public Moment Stored { get; set; }

    /// <summary>What was stored; null before it is.</summary>
    public StoredParts? Parts { get; set; }

    public ImmutableArray<CoordinatorEffect.ParkParticipant> Park { get; }

    public ImmutableArray<CoordinatorEffect.CaptureParticipant> Capture { get; }

    public ImmutableArray<CoordinatorEffect.ResumeParticipant> Resume { get; }

    public CoordinatorEffect.SetDeadline DevicesMustResume { get; }

    public CoordinatorEffect.SetDeadline StoreAnyway { get; }

    public CoordinatorEffect.SetDeadline VcpusMustResume { get; }

    public CoordinatorEffect.StoreParts Store { get; }

    /// <summary>How many reports the current phase still waits for.</summary>
    public int Awaited { get; set; }

    /// <summary>Why the round was given up; null while it is not.</summary>
    public MachineEvent.CheckpointAborted? Abort { get; set; }

    public void MarkParked(int participant) => Mark(participant, Reported.Parked);

    public bool MarkCaptured(int participant) => Mark(participant, Reported.Captured);

    public void MarkResumed(int participant) => Mark(participant, Reported.Resumed);

    public bool HasParked(int participant) => (_reported[participant] & Reported.Parked) != 0;

    public bool HasCaptured(int participant) => (_reported[participant] & Reported.Captured) != 0;

    public bool HasResumed(int participant) => (_reported[participant] & Reported.Resumed) != 0;

    private bool Mark(int participant, Reported what)
    {
        if ((_reported[participant] & what) != 0)
            return false;
        _reported[participant] |= what;
        return true;
    }
}
