using System.Globalization;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Kvm.Memory;

/// <summary>The pause cannot be kept as short as it must be.</summary>
/// <param name="limit">What it may be.</param>
/// <param name="pages">Pages left for the pause.</param>
/// <param name="needed">How long they would take.</param>
/// <param name="obstacle">Why they cannot be copied after the pause; null where that was not asked for.</param>
public sealed class PauseLimitException(PauseLimit limit, long pages, TimeSpan needed, string? obstacle) : Exception(string.Create(
    CultureInfo.InvariantCulture,
    $"the guest writes too fast: {pages} pages are left for the pause and would take {needed.TotalMilliseconds:f2} ms of the {limit.MaxPause.TotalMilliseconds:f2} ms that it may last, of which the memory has {limit.ForMemory.TotalMilliseconds:f2} ms")
    + (obstacle is null ? "" : $", and they cannot be copied after it: {obstacle}"))
{
}
