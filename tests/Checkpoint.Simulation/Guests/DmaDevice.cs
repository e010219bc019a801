using System.Buffers.Binary;
using Checkpoint.Actors;
using Checkpoint.Simulation.Faults;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Guests;

/// <summary>
/// A device with a thread of its own: it counts, and writes each count into the guest's memory. Its state and the memory of one
/// moment hold the same count.
/// </summary>
internal sealed class DmaDevice : IDeviceParticipant
{
    public const string DeviceName = "dma";

    private readonly MachineProbe _probe;
    private readonly ulong _address;
    private readonly byte[] _state = new byte[sizeof(ulong)];
    private ulong _count;
    private bool _isParked;
    private bool _isStopped;

    public DmaDevice(ulong address, MachineProbe probe, ulong count = 0)
    {
        _address = address;
        _probe = probe;
        _count = count;
    }

    public string Name => DeviceName;

    /// <summary>The count that a state tells of.</summary>
    public static ulong CountOf(ReadOnlySpan<byte> state) => BinaryPrimitives.ReadUInt64LittleEndian(state);

    /// <summary>Begins to count.</summary>
    public void Start() => PlanNext(_probe.World.Scheduler);

    /// <summary>Its machine is gone.</summary>
    public void Stop() => _isStopped = true;

    public void Park() => _isParked = true;

    public void Resume() => _isParked = false;

    public ReadOnlyMemory<byte> Capture()
    {
        BinaryPrimitives.WriteUInt64LittleEndian(_state, _count);
        return _state;
    }

    private void PlanNext(Scheduler scheduler)
    {
        var world = _probe.World;
        var isBusy = _probe.Tenant.Stage is not (Stage.Idle or Stage.Recovering);
        scheduler.After(isBusy ? world.Random.Between(20, 200) : world.Random.Between(200, 20_000), Work, _probe.Process);
    }

    private void Work()
    {
        if (_isStopped)
            return;
        if (!_isParked)
        {
            Span<byte> word = stackalloc byte[sizeof(ulong)];
            BinaryPrimitives.WriteUInt64LittleEndian(word, ++_count);
            _probe.Memory!.Write(_address, word);
        }

        PlanNext(_probe.World.Scheduler);
    }
}
