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
        PauseLimit? limit,
        Moment now)
    {
        Id = id;
        Request = request;
        Requested = now;
        Begun = now;
        Mode = ModeOf(history, options);
        _reported = new Reported[participants.Length];
        Prepare = [.. participants.Select(p => new CoordinatorEffect.PrepareParticipant(id, p.Index, Mode) { Limit = limit })];
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
        Prepared = 8,
    }

    public RoundId Id { get; }

    public CoordinatorInput.BeginCheckpoint Request { get; }

    /// <summary>Whether the checkpoint holds all memory or builds on its parent.</summary>
    public CheckpointMode Mode { get; }

    /// <summary>When the round began.</summary>
    public Moment Requested { get; }

    /// <summary>When the first participant was told to park; before that, when the round began.</summary>
    public Moment Begun { get; set; }

    public Moment AllParked { get; set; }

    public Moment AllCaptured { get; set; }

    public Moment AllToldToRun { get; set; }

    public Moment AllResumed { get; set; }

    public Moment Stored { get; set; }

    /// <summary>What was stored; null before it is.</summary>
    public StoredParts? Parts { get; set; }

    public ImmutableArray<CoordinatorEffect.PrepareParticipant> Prepare { get; }

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

    /// <summary>Whether it was given up because the disk is full.</summary>
    public bool HasNoRoom { get; set; }

    public bool MarkPrepared(int participant) => Mark(participant, Reported.Prepared);

    public void MarkParked(int participant) => Mark(participant, Reported.Parked);

    public bool MarkCaptured(int participant) => Mark(participant, Reported.Captured);

    public void MarkResumed(int participant) => Mark(participant, Reported.Resumed);

    public bool HasPrepared(int participant) => (_reported[participant] & Reported.Prepared) != 0;

    public bool HasParked(int participant) => (_reported[participant] & Reported.Parked) != 0;

    public bool HasCaptured(int participant) => (_reported[participant] & Reported.Captured) != 0;

    public bool HasResumed(int participant) => (_reported[participant] & Reported.Resumed) != 0;

    // An increment needs a parent that exists, and a chain that is not yet as long as a restore may have to read.
    private static CheckpointMode ModeOf(MachineHistory history, CoordinatorOptions options)
    {
        if (options.Mode == CheckpointMode.Full || history.Current is not { } parent || !history.Live.TryGetValue(parent, out var at))
            return CheckpointMode.Full;
        var length = 2;
        while (at is { Mode: CheckpointMode.Incremental, Parent: { } older })
        {
            at = history.Live[older];
            length++;
        }

        return length <= options.MaxChain ? CheckpointMode.Incremental : CheckpointMode.Full;
    }

    private bool Mark(int participant, Reported what)
    {
        if ((_reported[participant] & what) != 0)
            return false;
        _reported[participant] |= what;
        return true;
    }
}
