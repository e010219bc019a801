using static Checkpoint.Simulation.Faults.Stage;

namespace Checkpoint.Simulation.Faults;

/// <summary>Which faults can strike when, and why the others cannot.</summary>
internal static class FaultCells
{
    private static readonly Stage[] s_always = Enum.GetValues<Stage>();
    private static readonly FaultKind[] s_ofTheWorld = [FaultKind.ThreadStarved, FaultKind.OwnerLost, FaultKind.ProcessKilled, FaultKind.PowerLost, FaultKind.PowerLostInCall];
    private static readonly Stage[] s_running = [Idle, Preparing, ParkingVcpus, ResumingVcpus, Storing, Aborting, Appending, Recovering];

    private static readonly Dictionary<FaultKind, (Stage[] Possible, string Else)> s_cells = new()
    {
        [FaultKind.VcpuLate] = ([.. s_running, Capturing], "a parked vCPU does nothing but be captured"),
        [FaultKind.VcpuHangs] = ([.. s_running, Capturing], "a parked vCPU does nothing but be captured"),
        [FaultKind.RunFails] = (s_running, "a parked vCPU does not call KVM_RUN"),
        [FaultKind.InternalError] = (s_running, "a parked vCPU does not call KVM_RUN"),
        [FaultKind.TripleFault] = (s_running, "a parked vCPU does not call KVM_RUN"),
        [FaultKind.HandlerThrows] = ([.. s_running.Except([ParkingVcpus])], "a parked vCPU makes no exits, and one that is to park makes no new ones"),
        [FaultKind.VcpuDies] = ([.. s_running, Capturing], "a parked vCPU is called by nobody but its capture"),
        [FaultKind.MachineGone] = ([.. s_running, Capturing, Restoring], "KVM is not called for the machine"),
        [FaultKind.KickFails] = ([ParkingVcpus], "a round kicks its vCPUs in this phase alone"),
        [FaultKind.VcpuCaptureFails] = ([Capturing], "vCPUs are read in this phase alone"),
        [FaultKind.VmCaptureFails] = ([Capturing], "the VM is read in this phase alone"),
        [FaultKind.DirtyLogFails] = ([Preparing, Capturing], "the dirty log is read in these phases alone"),
        [FaultKind.MachineLate] = ([Preparing, Capturing], "the machine is asked for something in these phases alone"),
        [FaultKind.MachineHangs] = ([Preparing, Capturing], "the machine is asked for something in these phases alone"),
        [FaultKind.DeviceThrows] = ([ParkingDevices, Capturing, ResumingDevices, Aborting], "devices are called in these phases alone"),
        [FaultKind.DeviceLate] = ([ParkingDevices, Capturing, ResumingDevices, Aborting], "devices are called in these phases alone"),
        [FaultKind.DeviceHangs] = ([ParkingDevices, Capturing, ResumingDevices, Aborting], "devices are called in these phases alone"),
        [FaultKind.StoreSlow] = ([Storing, Appending], "the store has something to do for a round in these phases alone"),
        [FaultKind.DiskFull] = ([Storing], "segments are written in this phase alone"),
        [FaultKind.FileSyncFails] = ([Storing], "segments are written in this phase alone"),
        [FaultKind.FolderSyncFails] = ([Storing], "segments are written in this phase alone"),
        [FaultKind.RenameFails] = ([Storing], "segments are written in this phase alone"),
        [FaultKind.DeleteFails] = ([Idle, Preparing, Storing, Appending, Attaching], "segments go after a commit, after a round that was given up, and by the sweep"),
        [FaultKind.AppendRefused] = ([Appending, Attaching], "nothing is appended"),
        [FaultKind.UnknownLost] = ([Appending, Attaching], "nothing is appended"),
        [FaultKind.UnknownWritten] = ([Appending, Attaching], "nothing is appended"),
        [FaultKind.UnknownUnsynced] = ([Appending, Attaching], "nothing is appended"),
        [FaultKind.ProveFails] = ([Recovering, Attaching], "durability is proved after an unknown end and before a sweep alone"),
        [FaultKind.ReadFails] = ([Recovering, Attaching, Restoring], "the journal is not read"),
        [FaultKind.SegmentReadFails] = ([Restoring], "segments are not read"),
        [FaultKind.CreateFails] = ([Restoring], "no machine is built"),
        [FaultKind.SetFails] = ([Restoring], "no state is set"),
        [FaultKind.PartialSet] = ([Restoring], "no state is set"),
        [FaultKind.ThreadStarved] = ([.. s_always.Except([Attaching, Restoring])], "no thread of the machine's has anything to do yet"),
        [FaultKind.OwnerLost] = ([.. s_always.Except([Attaching, Restoring])], "the machine has no owner then, or the round says when"),
        [FaultKind.ProcessKilled] = (s_always, ""),
        [FaultKind.PowerLost] = (s_always, ""),
        [FaultKind.PowerLostInCall] = ([Storing, Appending, Attaching], "nothing is written"),
    };

    /// <summary>All cells that must not stay empty.</summary>
    public static IReadOnlyList<(FaultKind Kind, Stage When)> All { get; } =
        [.. s_cells.SelectMany(cell => cell.Value.Possible.Select(when => (cell.Key, when)))];

    /// <summary>Whether the world brings it about; otherwise it is a call that fails, waits or ends otherwise, as the engine's fault model injects it.</summary>
    public static bool IsOfTheWorld(FaultKind kind) => s_ofTheWorld.Contains(kind);

    public static bool IsPossible(FaultKind kind, Stage when) => s_cells[kind].Possible.Contains(when);

    /// <summary>Why it cannot strike at other times.</summary>
    public static string ReasonOf(FaultKind kind) => s_cells[kind].Else;
}
