namespace Checkpoint.Protocol.Coordination;

/// <summary>Where a coordinator stands. The diagram is in <see cref="Coordinator"/>.</summary>
public enum RoundPhase
{
    /// <summary>No round.</summary>
    Idle,

    /// <summary>The guest runs; the machine takes the memory that can be taken while it does.</summary>
    Preparing,

    /// <summary>vCPUs have been told to park.</summary>
    ParkingVcpus,

    /// <summary>All vCPUs are parked, devices have been told to park.</summary>
    ParkingDevices,

    /// <summary>All are parked: states are being read.</summary>
    Capturing,

    /// <summary>All are captured: devices have been told to run.</summary>
    ResumingDevices,

    /// <summary>Devices run, vCPUs have been told to run; storing waits a moment for them.</summary>
    ResumingVcpus,

    /// <summary>Parts are being made durable; in a machine with many vCPUs some may still wait for a processor.</summary>
    Storing,

    /// <summary>The round is given up; all have been told to run.</summary>
    Aborting,

    /// <summary>An append is in flight.</summary>
    Appending,

    /// <summary>An append's end is unknown; the stream is being read again.</summary>
    Recovering,

    /// <summary>Somebody else owns the stream, or it is lost. Final.</summary>
    Fenced,

    /// <summary>Stopped by request. Final.</summary>
    Stopped,
}
