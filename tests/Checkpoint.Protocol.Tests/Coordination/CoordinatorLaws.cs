using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;

namespace Checkpoint.Protocol.Tests.Coordination;

/// <summary>What tests of the coordinator share: how machines are given, and that each one's story is played to its end.</summary>
public abstract class CoordinatorLaws : IDisposable
{
    private readonly List<Scenario> _scenarios = [];

    public void Dispose()
    {
        foreach (var scenario in _scenarios)
            scenario.PlayToTheEnd();
        GC.SuppressFinalize(this);
    }

    /// <summary>A machine: its vCPUs, then its devices, then itself, in the order in which an engine lists them.</summary>
    private protected Scenario Given(int vcpus = 2, string[]? devices = null, CoordinatorOptions? options = null, MachineHistory? history = null)
    {
        var names = Enumerable.Range(0, vcpus).Select(index => (ParticipantKind.Vcpu, $"vcpu {index}"))
            .Concat((devices ?? []).Select(name => (ParticipantKind.Device, "device " + name)))
            .Append((ParticipantKind.Machine, "machine"));
        return Given([.. names], options, history);
    }

    private protected Scenario Given((ParticipantKind Kind, string Name)[] participants, CoordinatorOptions? options = null, MachineHistory? history = null)
    {
        var scenario = new Scenario(
            [.. participants.Select((each, index) => new Participant(index, each.Kind, each.Name))],
            options ?? new CoordinatorOptions(),
            history ?? Streams.Of());
        _scenarios.Add(scenario);
        return scenario;
    }
}
