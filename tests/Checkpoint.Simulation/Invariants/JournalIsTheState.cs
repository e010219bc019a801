using System.Buffers;
using Checkpoint.Actors.Coordination;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;
using Checkpoint.Simulation.Workload;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Simulation.Invariants;

/// <summary>The coordinator's memory.</summary>
internal sealed class JournalIsTheState(World world) : Invariant(world)
{
    public override string Law => "the stream, folded from its first event, is what the coordinator believes";

    public override void OnRoundEnded(Tenant tenant, Life life)
    {
        if (life.Attached.Coordinator is not CoordinatorActor { Phase: RoundPhase.Idle } coordinator || life.HasLostOwnership)
            return;
        if (!BytesOf(coordinator.History).AsSpan().SequenceEqual(BytesOf(Refolded(tenant, coordinator.History))))
            Break($"the stream of {tenant.Name} ends at event {tenant.ReadHistory().Head.SequenceNumber}, its coordinator is at {coordinator.History.Head.SequenceNumber}, or they differ");
    }

    // A machine that begins anew goes on from no checkpoint, which no event tells until its first commit.
    private static MachineHistory Refolded(Tenant tenant, MachineHistory believed) =>
        believed.Current is null ? tenant.ReadHistory() with { Current = null } : tenant.ReadHistory();

    private static byte[] BytesOf(MachineHistory history)
    {
        var bytes = new ArrayBufferWriter<byte>();
        SnapshotCodec.Encode(history, bytes);
        return bytes.WrittenSpan.ToArray();
    }
}
