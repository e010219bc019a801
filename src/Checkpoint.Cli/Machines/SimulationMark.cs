using System.Buffers.Binary;
using Checkpoint.Actors;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>
/// Tells in a checkpoint that its machine was simulated, and by a kernel of which seed. Nothing else there does: a simulated
/// machine has the same registers as one of KVM. The state is the seed, a little-endian number of 64 bits.
/// </summary>
internal sealed class SimulationMark(ulong seed) : IDeviceState
{
    private const string MarkName = "simulation";

    public string Name => MarkName;

    /// <summary>The seed that a checkpoint tells of; null where its machine was not simulated.</summary>
    public static ulong? SeedOf(StateDocument document) =>
        document.Devices.FirstOrDefault(device => device.Name == MarkName) is { State.Length: sizeof(ulong) } mark
            ? BinaryPrimitives.ReadUInt64LittleEndian(mark.State.Span)
            : null;

    public bool CapturesAtOnce => true;

    public ReadOnlyMemory<byte> Capture()
    {
        var state = new byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(state, seed);
        return state;
    }
}
