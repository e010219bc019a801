using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.FaultSoak;

/// <summary>A device that is parked and resumed, and notices where the two do not follow each other.</summary>
internal sealed class ParkedDevice : IDeviceParticipant
{
    private int _isParked;

    public string Name => "parked";

    /// <summary>Whether it was told to park and not yet to go on.</summary>
    public bool IsParked => Volatile.Read(ref _isParked) != 0;

    public void Park() => Volatile.Write(ref _isParked, 1);

    public void Resume() => Volatile.Write(ref _isParked, 0);

    public ReadOnlyMemory<byte> Capture() => IsParked ? new byte[] { 1 } : throw new InvalidOperationException("it is captured while it runs");
}

/// <summary>Counts each vCPU's exits; they come by steps, so a count that grows is a vCPU that runs.</summary>
internal sealed class ExitCount(IExitHandler guest, int vcpus) : IExitHandler
{
    private readonly long[] _counts = new long[vcpus];

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        Interlocked.Increment(ref _counts[vcpu]);
        return guest.Handle(vcpu, exit);
    }

    public long[] Now() => [.. Enumerable.Range(0, vcpus).Select(vcpu => Interlocked.Read(ref _counts[vcpu]))];
}
