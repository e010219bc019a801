namespace Checkpoint.Simulation.Faults;

/// <summary>Everything that goes wrong in a simulation. docs/SIMULATION.md says of each what it stands for.</summary>
internal enum FaultKind
{
    VcpuLate,
    VcpuHangs,
    RunFails,
    InternalError,
    TripleFault,
    HandlerThrows,
    VcpuCaptureFails,
    VmCaptureFails,
    DirtyLogFails,
    MachineLate,
    MachineHangs,
    DeviceThrows,
    DeviceLate,
    DeviceHangs,
    StoreSlow,
    DiskFull,
    FileSyncFails,
    FolderSyncFails,
    RenameFails,
    DeleteFails,
    AppendRefused,
    UnknownLost,
    UnknownWritten,
    UnknownUnsynced,
    ProveFails,
    ReadFails,
    SegmentReadFails,
    CreateFails,
    SetFails,
    PartialSet,
    OwnerLost,
    ProcessKilled,
    PowerLost,
    PowerLostInCall,
}

/// <summary>When something goes wrong: where the round of the machine stands, or that it is being attached or restored.</summary>
internal enum Stage
{
    Idle,
    Preparing,
    ParkingVcpus,
    ParkingDevices,
    Capturing,
    ResumingDevices,
    ResumingVcpus,
    Storing,
    Aborting,
    Appending,
    Recovering,
    Attaching,
    Restoring,
}
