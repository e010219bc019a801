using System.Globalization;

namespace Checkpoint.Bench;

/// <summary>Values of one kind, and what is said of them.</summary>
internal sealed class Distribution
{
    private readonly List<double> _values = [];

    public int Count => _values.Count;

    public double Sum => _values.Sum();

    public double Mean => _values.Count == 0 ? 0 : _values.Average();

    public double Max => _values.Count == 0 ? 0 : _values.Max();

    public void Add(double value) => _values.Add(value);

    /// <summary>The smallest value that so many percent of all do not exceed.</summary>
    public double At(int percent)
    {
        var sorted = _values.Order().ToList();
        return sorted.Count == 0 ? 0 : sorted[Math.Clamp((int)Math.Ceiling(sorted.Count * percent / 100.0) - 1, 0, sorted.Count - 1)];
    }

    /// <summary>Median, 90th and 99th percentile.</summary>
    public string Percentiles() => string.Create(CultureInfo.InvariantCulture, $"{At(50):f0}/{At(90):f0}/{At(99):f0}");
}
