using System.Buffers.Binary;
using Checkpoint.Actors.Hosting;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// How long to wait before something is tried again: twice as long each time, up to a limit, and of that a random part between
/// one half and all of it. So machines that lost the same store do not all come back to it at the same moment.
/// </summary>
internal sealed class Backoff(IEngineThreads threads)
{
    private static readonly TimeSpan s_first = TimeSpan.FromMilliseconds(50);
    private static readonly TimeSpan s_longest = TimeSpan.FromSeconds(2);

    private TimeSpan _next = s_first;

    /// <summary>How often it has been waited.</summary>
    public int Attempts { get; private set; }

    /// <summary>The next wait.</summary>
    public TimeSpan Next()
    {
        Attempts++;
        Span<byte> random = stackalloc byte[sizeof(uint)];
        threads.FillRandom(random);
        var part = BinaryPrimitives.ReadUInt32LittleEndian(random) / (double)uint.MaxValue;
        var wait = _next * ((1 + part) / 2);
        _next = _next * 2 < s_longest ? _next * 2 : s_longest;
        return wait;
    }
}
