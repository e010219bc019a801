using System.Collections.Immutable;
using System.Diagnostics;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>Effects as lines that a test can be read by.</summary>
internal static class EffectText
{
    public static string Of(CoordinatorEffect effect, ImmutableArray<Participant> participants) => effect switch
    {
        CoordinatorEffect.PrepareParticipant prepare => $"prepare {participants[prepare.Participant].Name} {prepare.Mode}",
        CoordinatorEffect.SettleParticipant settle => $"settle {participants[settle.Participant].Name} {(settle.IsCommitted ? "committed" : "given up")}",
        CoordinatorEffect.ParkParticipant park => $"park {participants[park.Participant].Name}",
        CoordinatorEffect.CaptureParticipant capture => $"capture {participants[capture.Participant].Name}",
        CoordinatorEffect.ResumeParticipant resume => $"resume {participants[resume.Participant].Name}",
        CoordinatorEffect.SetDeadline deadline => $"deadline {deadline.Phase} {deadline.After.TotalMilliseconds} ms",
        CoordinatorEffect.StoreParts store => $"store {store.Number} after {store.Parent?.ToString() ?? "none"}",
        CoordinatorEffect.Append append => $"append {string.Join(" + ", append.Events.Select(Of))}",
        CoordinatorEffect.DeleteSegments delete => $"delete {string.Join(", ", delete.Segments.Select(segment => segment.Name))}",
        CoordinatorEffect.DiscardParts => "discard",
        CoordinatorEffect.Recover => "recover",
        CoordinatorEffect.Reply reply => $"reply {reply.RequestId}: {Of(reply.Answer)}",
        _ => throw new UnreachableException($"Unknown effect {effect.GetType().Name}."),
    };

    private static string Of(MachineEvent @event) => @event switch
    {
        MachineEvent.CheckpointCommitted committed => $"Committed {committed.Number} after {committed.Parent?.ToString() ?? "none"}",
        MachineEvent.CheckpointAborted aborted => $"Aborted ({aborted.Reason})",
        MachineEvent.CheckpointPinned pinned => $"Pinned {pinned.Number}",
        MachineEvent.CheckpointUnpinned unpinned => $"Unpinned {unpinned.Number}",
        MachineEvent.CheckpointPruned pruned => $"Pruned {string.Join(", ", pruned.Numbers)}",
        MachineEvent.MachineRestored restored => $"Restored {restored.FromVm}@{restored.FromNumber}{(restored.Continues ? ", continues" : "")}",
        _ => throw new UnreachableException($"A coordinator does not append {@event.GetType().Name}."),
    };

    private static string Of(CoordinatorReply reply) => reply switch
    {
        CoordinatorReply.Committed { Pruned.IsEmpty: true } committed => $"committed {committed.Checkpoint.Number}",
        CoordinatorReply.Committed committed => $"committed {committed.Checkpoint.Number}, pruned {string.Join(", ", committed.Pruned)}",
        CoordinatorReply.Aborted { Pruned.IsEmpty: false } aborted => $"aborted ({aborted.Abort.Reason}), pruned {string.Join(", ", aborted.Pruned)}",
        CoordinatorReply.Aborted aborted => $"aborted ({aborted.Abort.Reason})",
        CoordinatorReply.Refused refused => $"refused ({refused.Obstacle.Describe()})",
        CoordinatorReply.Done done => $"done [{string.Join(", ", done.Numbers)}]",
        _ => throw new UnreachableException($"Unknown reply {reply.GetType().Name}."),
    };
}
