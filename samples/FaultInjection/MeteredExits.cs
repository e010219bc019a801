using System.Buffers.Binary;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;

namespace FaultInjection;

/// <summary>
/// The tool's code that is tested here: an exit handler that meters what each vCPU does, and refuses a vCPU that does more than it
/// has paid for. The meter is a device, so that a restored machine goes on with what it had used.
/// </summary>
internal sealed class MeteredExits(GuestMachine guest, int vcpus, long quota = long.MaxValue) : IExitHandler, IDeviceState
{
    private readonly long[] _used = new long[vcpus];
    private readonly byte[] _state = new byte[vcpus * sizeof(long)];

    public string Name => "meter";

    public long UsedBy(int vcpu) => Interlocked.Read(ref _used[vcpu]);

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        if (Interlocked.Increment(ref _used[vcpu]) > quota)
            return ExitAction.Stop;
        return guest.Handle(vcpu, exit);
    }

    /// <summary>Called while the guest is paused: nobody counts meanwhile.</summary>
    public ReadOnlyMemory<byte> Capture()
    {
        for (var i = 0; i < _used.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(_state.AsSpan(i * sizeof(long)), _used[i]);
        return _state;
    }

    public void Restore(ReadOnlySpan<byte> state)
    {
        for (var i = 0; i < _used.Length; i++)
            _used[i] = BinaryPrimitives.ReadInt64LittleEndian(state[(i * sizeof(long))..]);
    }
}
