namespace Checkpoint.FaultSoak;

/// <summary>How often what was injected in which phase of a round.</summary>
internal sealed class FaultTable
{
    private readonly SortedDictionary<(string Kind, string Phase), long> _hits = [];

    public long Total => _hits.Values.Sum();

    public void Add(string kind, string phase, long count) => _hits[(kind, phase)] = _hits.GetValueOrDefault((kind, phase)) + count;

    public void Print()
    {
        var phases = _hits.Keys.Select(key => key.Phase).Distinct().Order(StringComparer.Ordinal).ToList();
        Console.WriteLine($"{"faults injected",-16}{string.Concat(phases.Select(phase => $"{phase,17}"))}");
        foreach (var kind in _hits.Keys.Select(key => key.Kind).Distinct().Order(StringComparer.Ordinal))
            Console.WriteLine($"{kind,-16}{string.Concat(phases.Select(phase => $"{_hits.GetValueOrDefault((kind, phase)),17}"))}");
    }
}
