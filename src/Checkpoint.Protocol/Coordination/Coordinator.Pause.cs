using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Coordination;

/// <content>From the first kick until everybody runs again. On the way that ends well nothing is allocated.</content>
public sealed partial class Coordinator
{
    private void OnPrepared(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase != RoundPhase.Preparing || !_round!.MarkPrepared(participant))
            return;
        _round.Awaited--;
        ContinuePrepare(now, effects);
    }

    private void ContinuePrepare(in Moment now, List<CoordinatorEffect> effects)
    {
        if (_round!.Awaited > 0)
            return;
        _round.Begun = now;
        // Both deadlines are set now: setting one inside the pause would cost the guests the timer's lock.
        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.ParkingVcpus, _options.ParkDeadline));
        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.Capturing, _options.ParkDeadline + _options.CaptureDeadline));
        Enter(RoundPhase.ParkingVcpus, ParticipantKind.Vcpu);
        Tell(ParticipantKind.Vcpu, _round.Park, effects);
        ContinuePark(now, effects);
    }

    private void OnParked(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase is not (RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices))
            return; // The round has been given up meanwhile, and this one has been told to run.
        if (_round!.HasParked(participant))
            return;
        if (_participants[participant].Kind != ParkedIn(Phase))
            throw new UnreachableException($"{_participants[participant].Name} parked in phase {Phase} without being told to.");
        _round.MarkParked(participant);
        _round.Awaited--;
        ContinuePark(now, effects);
    }

    private static ParticipantKind ParkedIn(RoundPhase phase) =>
        phase == RoundPhase.ParkingVcpus ? ParticipantKind.Vcpu : ParticipantKind.Device;

    private void ContinuePark(in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.ParkingVcpus && _round!.Awaited == 0)
        {
            Enter(RoundPhase.ParkingDevices, ParticipantKind.Device);
            Tell(ParticipantKind.Device, _round.Park, effects);
        }

        if (Phase == RoundPhase.ParkingDevices && _round!.Awaited == 0)
        {
            _round.AllParked = now;
            Phase = RoundPhase.Capturing;
            _round.Awaited = _participants.Length;
            // The machine first: copying memory takes longest.
            Tell(ParticipantKind.Machine, _round.Capture, effects);
            Tell(ParticipantKind.Device, _round.Capture, effects);
            Tell(ParticipantKind.Vcpu, _round.Capture, effects);
        }
    }

    private void OnCaptured(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase is RoundPhase.Preparing or RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices)
            throw new UnreachableException($"{_participants[participant].Name} was captured in phase {Phase}, before all were parked.");
        if (Phase != RoundPhase.Capturing)
            return; // The round has been given up without it.
        if (!_round!.MarkCaptured(participant) || --_round.Awaited > 0)
            return;

        _round.AllCaptured = now;
        Enter(RoundPhase.ResumingDevices, ParticipantKind.Device);
        Tell(ParticipantKind.Device, _round.Resume, effects);
        if (_round.Awaited > 0)
            effects.Add(_round.DevicesMustResume);
        ContinueResume(now, effects);
    }

    private void OnResumed(int participant, in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase is not (RoundPhase.ResumingDevices or RoundPhase.ResumingVcpus or RoundPhase.Storing or RoundPhase.Aborting))
            return;
        if (Phase == RoundPhase.ResumingDevices && _participants[participant].Kind == ParticipantKind.Vcpu)
            throw new UnreachableException($"{_participants[participant].Name} runs in phase {Phase} without being told to.");
        var isAwaited = IsAwaitedToResume(participant);
        _round!.MarkResumed(participant);
        if (isAwaited)
            _round.Awaited--;
        ContinueResume(now, effects);
    }

    private void ContinueResume(in Moment now, List<CoordinatorEffect> effects)
    {
        if (Phase == RoundPhase.ResumingDevices && _round!.Awaited <= 0)
            ResumeVcpus(now, effects);
        if (Phase == RoundPhase.ResumingVcpus && _round!.Awaited <= 0)
            Store(now, effects);
        else if (Phase == RoundPhase.Storing && _round!.Awaited <= 0)
            CommitIfComplete(now, effects);
        else if (Phase == RoundPhase.Aborting && _round!.Awaited <= 0)
            AppendAbort(now, effects);
    }

    private void ResumeVcpus(in Moment now, List<CoordinatorEffect> effects)
    {
        Enter(RoundPhase.ResumingVcpus, ParticipantKind.Vcpu);
        Tell(ParticipantKind.Vcpu, _round!.Resume, effects);
        _round.AllToldToRun = now;
        effects.Add(_round.StoreAnyway);
        effects.Add(_round.VcpusMustResume);
        ContinueResume(now, effects);
    }

    private void Store(in Moment now, List<CoordinatorEffect> effects)
    {
        Phase = RoundPhase.Storing;
        if (_round!.Awaited <= 0)
            _round.AllResumed = now;
        effects.Add(_round.Store);
    }

    private void OnFailed(int participant, ParticipantFailure failure, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (Phase)
        {
            case RoundPhase.Preparing or RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices or RoundPhase.Capturing:
                Abort(failure, _participants[participant].Name, now, effects);
                break;
            case RoundPhase.ResumingDevices or RoundPhase.ResumingVcpus or RoundPhase.Storing or RoundPhase.Aborting:
                // Its state was captured with the others' before it failed: that moment is consistent, so the round goes on
                // without its word.
                if (IsAwaitedToResume(participant))
                    OnResumed(participant, now, effects);
                break;
            default:
                break;
        }
    }

    private bool IsAwaitedToResume(int participant) => !_round!.HasResumed(participant) && _participants[participant].Kind switch
    {
        ParticipantKind.Vcpu => Phase != RoundPhase.ResumingDevices,
        ParticipantKind.Device => Phase is RoundPhase.ResumingDevices or RoundPhase.Aborting,
        _ => false,
    };

    private void OnDeadline(RoundPhase phase, in Moment now, List<CoordinatorEffect> effects)
    {
        switch (phase)
        {
            case RoundPhase.Preparing when Phase == RoundPhase.Preparing:
                var unprepared = _participants.First(p => p.Kind == ParticipantKind.Machine && !_round!.HasPrepared(p.Index));
                Abort(new ParticipantFailure($"did not prepare within {Milliseconds(_options.PrepareDeadline)} ms"), unprepared.Name, now, effects);
                break;
            case RoundPhase.ParkingVcpus when Phase is RoundPhase.ParkingVcpus or RoundPhase.ParkingDevices:
                var late = _participants.First(p => p.Kind == ParkedIn(Phase) && !_round!.HasParked(p.Index));
                Abort(new ParticipantFailure($"did not park within {Milliseconds(_options.ParkDeadline)} ms"), late.Name, now, effects);
                break;
            case RoundPhase.Capturing when Phase == RoundPhase.Capturing:
                // The machine stands last: where it hangs, so may the vCPU whose thread is at its capture.
                var stuck = _participants.Last(p => !_round!.HasCaptured(p.Index));
                Abort(new ParticipantFailure($"was not captured within {Milliseconds(_options.ParkDeadline + _options.CaptureDeadline)} ms of the round's beginning"), stuck.Name, now, effects);
                break;
            case RoundPhase.ResumingDevices when Phase == RoundPhase.ResumingDevices:
                ResumeVcpus(now, effects); // A device that hangs must not keep the guest.
                break;
            case RoundPhase.ResumingVcpus when Phase == RoundPhase.ResumingVcpus:
                Store(now, effects);
                break;
            case RoundPhase.Storing when Phase is RoundPhase.ResumingVcpus or RoundPhase.Storing && _round!.Awaited > 0:
                _round!.Awaited = 0; // It was captured at a consistent moment with the others: the checkpoint is good without its word.
                ContinueResume(now, effects);
                break;
            case RoundPhase.Aborting when Phase == RoundPhase.Aborting:
                AppendAbort(now, effects);
                break;
            default:
                break;
        }
    }

    private void Abort(ParticipantFailure failure, string participant, in Moment now, List<CoordinatorEffect> effects)
    {
        _round!.Abort = new MachineEvent.CheckpointAborted($"{participant} {failure.Reason}", participant, failure.Register, failure.Errno) { At = now.Wall };
        var nobodyWasToldToPark = Phase == RoundPhase.Preparing;
        Phase = RoundPhase.Aborting;
        _round.Awaited = 0;
        foreach (var kind in (ReadOnlySpan<ParticipantKind>)[ParticipantKind.Device, ParticipantKind.Vcpu])
        {
            foreach (var each in _participants)
            {
                if (each.Kind != kind)
                    continue;
                // Devices are told to park only after the vCPUs: before that they all run, and nobody waits for them.
                if (nobodyWasToldToPark || _gone[each.Index] is not null || (kind == ParticipantKind.Device && !_devicesToldToPark))
                {
                    _round.MarkResumed(each.Index);
                    continue;
                }

                effects.Add(_round.Resume[each.Index]);
                _round.Awaited++;
            }
        }

        effects.Add(new CoordinatorEffect.SetDeadline(_round.Id, RoundPhase.Aborting, _options.ResumeDeadline));
        ContinueResume(now, effects);
    }

    private void Enter(RoundPhase phase, ParticipantKind kind)
    {
        Phase = phase;
        _devicesToldToPark = phase is not (RoundPhase.Preparing or RoundPhase.ParkingVcpus);
        _round!.Awaited = 0;
        foreach (var participant in _participants)
        {
            if (participant.Kind != kind)
                continue;
            // Nobody waits for one that has ended.
            if (_gone[participant.Index] is not null)
                _round.MarkResumed(participant.Index);
            else
                _round.Awaited++;
        }
    }

    private void Tell<TEffect>(ParticipantKind kind, ImmutableArray<TEffect> prepared, List<CoordinatorEffect> effects)
        where TEffect : CoordinatorEffect
    {
        foreach (var participant in _participants)
        {
            if (participant.Kind == kind && _gone[participant.Index] is null)
                effects.Add(prepared[participant.Index]);
        }
    }

    private static long Milliseconds(TimeSpan span) => (long)span.TotalMilliseconds;
}
