using Checkpoint.Actors;

namespace Checkpoint.Bench;

/// <summary>
/// Knows, as a device that is asked in the pause, which pages differ from the last time: how many the guest had written by then, each
/// counted once, its vCPUs' own and the one that the host writes.
/// </summary>
internal sealed class ChangedPages(WriterGuest guest, int vcpus) : IDeviceState
{
    private readonly long[] _before = new long[vcpus];
    private long _changed;

    public string Name => "written";

    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture()
    {
        _changed = 1;
        for (var i = 0; i < vcpus; i++)
        {
            var written = guest.WrittenBy(i);
            _changed += 1 + Math.Min(guest.AreaPages, written - _before[i]);
            _before[i] = written;
        }

        return default;
    }

    /// <summary>Pages that had changed at the last capture since the one before.</summary>
    public long Changed => _changed;
}
