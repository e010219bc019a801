using System.Collections.Concurrent;
using System.Globalization;

namespace Checkpoint.Actors.Tests;

/// <summary>What a <see cref="ProbeDevice"/> is asked to do.</summary>
public enum DeviceCall
{
    Park,
    Capture,
    Resume,
}

/// <summary>A device with threads of its own, as the engine sees it: it writes down what it was told, and fails or hangs to order.</summary>
internal sealed class ProbeDevice(string name = "probe") : IDeviceParticipant
{
    private int _captures;

    public string Name => name;

    /// <summary>What was called, in order, with what the probes of a test add.</summary>
    public ConcurrentQueue<string> Log { get; init; } = [];

    /// <summary>Called at each call before it returns; it may throw or block.</summary>
    public Action<DeviceCall> On { get; set; } = _ => { };

    public void Park() => Do(DeviceCall.Park);

    public void Resume() => Do(DeviceCall.Resume);

    public ReadOnlyMemory<byte> Capture()
    {
        Do(DeviceCall.Capture);
        _captures++;
        return BlobOf(_captures);
    }

    /// <summary>What the n-th capture gives.</summary>
    public ReadOnlyMemory<byte> BlobOf(int capture) =>
        System.Text.Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{name} at capture {capture}"));

    private void Do(DeviceCall call)
    {
        Log.Enqueue($"{name} {call}");
        On(call);
    }
}

/// <summary>Holds a thread until the test lets it go; it always goes in the end, so that no test hangs.</summary>
internal sealed class Hang : IDisposable
{
    private readonly ManualResetEventSlim _over = new();
    private readonly TaskCompletionSource _begun = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private volatile bool _isArmed = true;

    /// <summary>Ends when a thread has come.</summary>
    public Task Begun => _begun.Task;

    /// <summary>Holds the first thread that comes.</summary>
    public void Enter()
    {
        if (!_isArmed)
            return;
        _isArmed = false;
        _begun.TrySetResult();
        _over.Wait(TimeSpan.FromSeconds(60));
    }

    public void End() => _over.Set();

    // The event itself stays: the held thread may only now be leaving it.
    public void Dispose() => End();
}
