using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.Faults;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Faults;

/// <summary>Cells of the table as rules of the fault model that the engine ships, and what their hits mean to the world.</summary>
internal sealed class InjectedFaults
{
    // Linux's number; the seam names those alone that the engine asks about.
    private const int Enospc = 28;
    private const int MostRegistersOfAPart = 40;

    private readonly World _world;
    private readonly Action<FaultKind, Stage> _note;
    private readonly Dictionary<FaultRule, (FaultKind Kind, Stage When)> _cells = [];

    public InjectedFaults(World world, Action<FaultKind, Stage> note)
    {
        _world = world;
        _note = note;
        Plan = new FaultPlan(waits: new VirtualWaits(world));
        Plan.Injected += OnInjected;
    }

    public FaultPlan Plan { get; }

    /// <summary>Makes a rule of a cell.</summary>
    /// <param name="kind">What goes wrong.</param>
    /// <param name="when">In which phase of the round of the machine that the call is about.</param>
    /// <param name="round">Once so many of the machine's rounds have ended.</param>
    /// <param name="skip">So many calls go well before.</param>
    public void Arm(FaultKind kind, Stage when, int round, int skip)
    {
        var (call, isMeant) = CallOf(kind, when);
        var trigger = Plan.On(call, call: skip + 1).When(site => isMeant?.Invoke(site) != false && _world.IsAt(site, when, round));
        _cells.Add(Finish(kind, when, trigger), (kind, when));
    }

    // By which call a kind strikes in a phase; a condition where the name says too little.
    private static (string Call, Func<FaultSite, bool>? IsMeant) CallOf(FaultKind kind, Stage when) => kind switch
    {
        FaultKind.VcpuLate or FaultKind.VcpuHangs => when switch
        {
            Stage.ParkingVcpus => (FaultCalls.VcpuPark, null),
            Stage.Capturing => ("KVM_*", IsCapture),
            _ => (FaultCalls.ExitHandle, null),
        },
        FaultKind.RunFails or FaultKind.InternalError or FaultKind.TripleFault => (KvmRequests.Run.Name, null),
        FaultKind.HandlerThrows => (FaultCalls.ExitHandle, null),
        FaultKind.VcpuDies => ("KVM_*", static site => site.Vcpu is not null),
        FaultKind.VcpuCaptureFails => ("KVM_*", IsCapture),
        FaultKind.MachineGone => ("KVM_*", null),
        FaultKind.KickFails => (FaultCalls.Kick, null),
        FaultKind.VmCaptureFails => ("KVM_GET_*", static site => IsOfVm(site) && !IsDirtyLog(site)),
        FaultKind.DirtyLogFails => ("KVM_*", IsDirtyLog),
        FaultKind.MachineLate or FaultKind.MachineHangs => ("*", static site => IsOfVm(site) || site.Call == FaultCalls.MemoryRead),
        FaultKind.DeviceThrows or FaultKind.DeviceLate or FaultKind.DeviceHangs => ("device.*", null),
        FaultKind.StoreSlow when when == Stage.Storing => ("*", static site => site.Path is not null),
        FaultKind.DiskFull => (FaultCalls.FileWrite, null),
        FaultKind.FileSyncFails => (FaultCalls.FileSync, null),
        FaultKind.FolderSyncFails => (FaultCalls.FolderSync, null),
        FaultKind.RenameFails => (FaultCalls.FileRename, null),
        FaultKind.DeleteFails => (FaultCalls.FileDelete, null),
        FaultKind.SegmentReadFails => (FaultCalls.FileRead, null),
        FaultKind.StoreSlow or FaultKind.AppendRefused or FaultKind.UnknownLost or FaultKind.UnknownWritten or FaultKind.UnknownUnsynced => (FaultCalls.JournalAppend, null),
        FaultKind.ProveFails => (FaultCalls.JournalProve, null),
        FaultKind.ReadFails => ("journal.read*", null),
        FaultKind.CreateFails => ("KVM_CREATE_*", null),
        FaultKind.SetFails or FaultKind.PartialSet => ("KVM_SET_*", null),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "This is no call of the seam or of the store."),
    };

    private FaultRule Finish(FaultKind kind, Stage when, FaultTrigger trigger)
    {
        var random = _world.Random;
        // A caller waits that the scheduler can keep waiting; others look at the machine or build one beside it.
        var ofActivity = trigger.When(_ => _world.Scheduler.AtWork is not null);
        return kind switch
        {
            // From within the deadline to well behind it, so that what comes late comes into the next round too.
            FaultKind.VcpuLate or FaultKind.MachineLate or FaultKind.DeviceLate => ofActivity.Delay(TimeSpan.FromMicroseconds(random.Between(2_000, 25_000))),
            FaultKind.StoreSlow => ofActivity.Delay(TimeSpan.FromMicroseconds(random.Between(5_000, 50_000))),
            FaultKind.VcpuHangs or FaultKind.MachineHangs or FaultKind.DeviceHangs => ofActivity.Hang(),
            FaultKind.VcpuDies => trigger.Die(),
            FaultKind.MachineGone => (when == Stage.Restoring ? trigger : ofActivity).LoseMachine(random.Chance(0.5) ? Errno.EIO : Errno.ENODEV),
            FaultKind.InternalError => trigger.ExitWithInternalError(),
            FaultKind.TripleFault => trigger.TripleFault(),
            FaultKind.DiskFull => trigger.Fail(Enospc),
            FaultKind.AppendRefused => trigger.Refuse(),
            FaultKind.UnknownLost => trigger.LoseConnectionBeforeCommit(),
            FaultKind.UnknownWritten => trigger.LoseConnectionAfterCommit(),
            FaultKind.UnknownUnsynced => trigger.EndUnknown(written: true),
            FaultKind.CreateFails => trigger.Fail(Errno.ENOMEM),
            FaultKind.SetFails => trigger.Fail(Errno.EINVAL),
            FaultKind.PartialSet => trigger.Fail(Errno.EINVAL, afterRegisters: random.Below(MostRegistersOfAPart)),
            _ => trigger.Fail(Errno.EIO),
        };
    }

    private void OnInjected(FaultHit hit)
    {
        var (kind, when) = _cells[hit.Rule];
        var probe = _world.ProbeOf(hit.Site.Machine!);
        var vm = probe?.Vm ?? hit.Site.Machine!;
        _note(kind, when);
        _world.History.Note("fault", $"{kind} strikes {vm} while {when}: {hit.Site.Call} of {hit.Site.Participant} {hit.Action.Describe()}");
        switch (kind)
        {
            case FaultKind.RunFails or FaultKind.InternalError or FaultKind.TripleFault or FaultKind.HandlerThrows or FaultKind.VcpuDies:
                probe!.Break(hit.Site.Vcpu!.Value);
                break;
            case FaultKind.MachineGone:
                probe!.BreakAll();
                break;
            // The caller is told by the decorator; what becomes of the bytes is the disk's.
            case FaultKind.FileSyncFails:
                _world.Disk.LoseSyncsOf(hit.Site.Path!);
                break;
            case FaultKind.UnknownUnsynced:
                _world.Disk.StreamOf(vm).LoseNextSync();
                break;
            default:
                break;
        }
    }

    // An owner that has lost its machine, and does not know, runs the guest on while the machine is captured elsewhere.
    private static bool IsCapture(FaultSite site) => site.Vcpu is not null && site.Call != KvmRequests.Run.Name;

    // KVM's own devices, such as an interrupt controller, among what belongs to the VM.
    private static bool IsOfVm(FaultSite site) => site.Participant is "vm" or "device";

    private static bool IsDirtyLog(FaultSite site) => site.Call is "KVM_GET_DIRTY_LOG" or "KVM_CLEAR_DIRTY_LOG";
}
