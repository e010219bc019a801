using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.MemoryLedger;

/// <summary>
/// A device with a thread of its own that writes pages of the guest's memory, as one that reads from a disk or a network does:
/// while the memory is copied for a checkpoint too, and not while the guest is paused.
/// </summary>
internal sealed class HostWriter : IDeviceParticipant, IDisposable
{
    private static readonly TimeSpan s_betweenWrites = TimeSpan.FromMilliseconds(1);

    private const int MostPages = 8;
    private const int ForgetEvery = 5;

    private readonly IGuestMemory _memory;
    private readonly ulong _start;
    private readonly int _pages;
    private readonly Random _random;
    private readonly bool _forgets;
    private readonly object _gate = new();
    private readonly Thread _thread;
    private readonly byte[] _buffer = new byte[MostPages * MemoryRegion.PageBytes];
    private bool _isParked;
    private bool _isOver;
    private int _parks;

    /// <param name="memory">The memory.</param>
    /// <param name="start">Where the pages begin that the guest leaves alone.</param>
    /// <param name="seed">Where its writes come from.</param>
    /// <param name="forgets">Whether it sometimes writes without saying so, which a comparison must find.</param>
    public HostWriter(IGuestMemory memory, ulong start, int seed, bool forgets)
    {
        _memory = memory;
        _start = start;
        _pages = (int)((memory.Regions[0].SizeBytes - start) / MemoryRegion.PageBytes);
        _random = new Random(seed);
        _forgets = forgets;
        _thread = new Thread(Run) { IsBackground = true, Name = "host writer" };
        _thread.Start();
    }

    public string Name => "host writer";

    public void Park()
    {
        lock (_gate)
        {
            _isParked = true;
            if (_forgets && ++_parks % ForgetEvery == 0)
                ForgetAWrite();
        }
    }

    public ReadOnlyMemory<byte> Capture() => ReadOnlyMemory<byte>.Empty;

    public void Resume()
    {
        lock (_gate)
        {
            _isParked = false;
            Monitor.PulseAll(_gate);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            _isOver = true;
            Monitor.PulseAll(_gate);
        }

        _thread.Join();
    }

    private void Run()
    {
        lock (_gate)
        {
            while (!_isOver)
            {
                if (_isParked)
                {
                    Monitor.Wait(_gate);
                    continue;
                }

                var pages = Math.Min(_random.Next(1, MostPages + 1), _pages);
                var bytes = _buffer.AsSpan(0, pages * MemoryRegion.PageBytes);
                PageFiller.Fill(_random, bytes);
                _memory.Write(_start + ((ulong)_random.Next(_pages - pages + 1) * MemoryRegion.PageBytes), bytes);
                Monitor.Wait(_gate, s_betweenWrites);
            }
        }
    }

    private void ForgetAWrite()
    {
        var written = _memory.Written;
        _memory.Written = null;
        _memory.Write(_start + ((ulong)_random.Next(_pages) * MemoryRegion.PageBytes), BitConverter.GetBytes(_random.NextInt64()));
        _memory.Written = written;
    }
}
