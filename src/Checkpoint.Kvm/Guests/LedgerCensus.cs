namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Counts the tokens of one moment, place by place. In a consistent cut each is in exactly one place, and their hops
/// together are the hops that the vCPUs have raised.
/// </summary>
internal sealed class LedgerCensus(ulong seed, int tokens)
{
    private readonly List<string>[] _places = [.. Enumerable.Range(0, tokens).Select(_ => new List<string>())];
    private readonly ulong[] _hops = new ulong[tokens];
    private readonly List<string> _strangers = [];

    public IReadOnlyList<ulong> TokenHops => _hops;

    public void Count(ulong value, string place)
    {
        if (value == 0)
        {
            return;
        }

        var number = LedgerToken.Number(seed, tokens, value);
        if (number == 0)
        {
            _strangers.Add($"{place}: expected a token or 0, found 0x{value:x}");
            return;
        }

        _places[number - 1].Add(place);
        _hops[number - 1] = LedgerToken.Hops(value);
    }

    public IEnumerable<string> Failures(ulong hopsRaised)
    {
        foreach (var stranger in _strangers)
        {
            yield return stranger;
        }

        for (var i = 0; i < tokens; i++)
        {
            if (_places[i].Count == 0)
            {
                yield return $"token {i + 1}: expected in one place, found in no slot and no register";
            }
            else if (_places[i].Count > 1)
            {
                yield return $"token {i + 1}: expected in one place, found in {string.Join(" and ", _places[i])}";
            }
        }

        var hops = _hops.Aggregate(0UL, (sum, one) => sum + one);
        if (hops != hopsRaised)
        {
            yield return $"hops of all tokens expected {hopsRaised} as raised by the vCPUs, found {hops}";
        }
    }
}
