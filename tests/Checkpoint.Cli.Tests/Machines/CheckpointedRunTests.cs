using Checkpoint.Actors;
using Checkpoint.Cli.Machines;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Tests.Machines;

public class CheckpointedRunTests
{
    [KvmFact]
    public async Task A_run_ends_when_a_vcpu_has_ended_and_says_who_and_why()
    {
        using var sandbox = new Sandbox();
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 2 });
        await using var engine = CheckpointEngine.Open(new(sandbox.StoreUri));
        await using var machine = await engine.AttachAsync("a", new MachineAttachment(guest.Machine, new Failing(guest)) { Devices = [new GuestDevice(guest)] });
        var run = new CheckpointedRun(machine, new RunLimits(TimeSpan.FromSeconds(10), null, null), TimeProvider.System, _ => { });

        var end = await run.UntilEndAsync(() => { }, CancellationToken.None).WaitAsync(Sandbox.Patience);

        Assert.Equal(RunEnd.Failed, end);
        Assert.Contains("vcpu 1", run.LastObstacle, StringComparison.Ordinal);
        Assert.Contains("the device caught fire", run.LastObstacle, StringComparison.Ordinal);
    }

    [KvmFact]
    public async Task A_run_of_which_a_vcpu_dies_after_it_has_ended_has_failed()
    {
        using var sandbox = new Sandbox();
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 2 });
        using var ending = new ManualResetEventSlim();
        using var interruption = new CancellationTokenSource();
        await using var engine = CheckpointEngine.Open(new(sandbox.StoreUri));
        await using var machine = await engine.AttachAsync("a", new MachineAttachment(guest.Machine, new Failing(guest, interruption, ending)) { Devices = [new GuestDevice(guest)] });
        var run = new CheckpointedRun(machine, new RunLimits(TimeSpan.FromSeconds(10), null, null), TimeProvider.System, _ => { }) { Ending = ending.Set };

        var end = await run.UntilEndAsync(() => { }, interruption.Token).WaitAsync(Sandbox.Patience);

        Assert.Equal(RunEnd.Failed, end);
        Assert.Equal("vcpu 1 was ended by its exit handler: the device caught fire", run.LastObstacle);
    }

    [KvmFact]
    public async Task A_report_that_cannot_be_made_ends_the_run_with_its_reason()
    {
        using var sandbox = new Sandbox();
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 1 });
        await using var engine = CheckpointEngine.Open(new(sandbox.StoreUri));
        await using var machine = await engine.AttachAsync("a", new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] });
        var run = new CheckpointedRun(machine, new RunLimits(TimeSpan.FromMilliseconds(10), null, null), TimeProvider.System, _ => throw new IOException("the pipe is gone"));

        await Assert.ThrowsAsync<IOException>(() => run.UntilEndAsync(() => { }, CancellationToken.None).WaitAsync(Sandbox.Patience));
    }

    [Fact]
    public async Task A_store_that_hangs_does_not_keep_a_run_that_is_interrupted()
    {
        using var sandbox = new Sandbox();
        using var kvm = new SimulatedKvm();
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, new GuestOptions { Vcpus = 1, ExitEverySteps = 1 << 12 });
        var faults = new FaultPlan();
        await using var engine = CheckpointEngine.Open(new StoreOptions(sandbox.StoreUri) { Faults = faults });
        var options = new CoordinatorOptions { StopDeadline = TimeSpan.FromMilliseconds(50) };
        await using var machine = await engine.AttachAsync("a", new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)], Options = options });
        var run = new CheckpointedRun(machine, new RunLimits(TimeSpan.FromMilliseconds(1), null, 5), TimeProvider.System, _ => { });
        using var interruption = new CancellationTokenSource();
        faults.Injected += _ => interruption.CancelAfter(1);
        faults.On(FaultCalls.JournalAppend, call: 1).Hang();

        var end = await run.UntilEndAsync(() => { }, interruption.Token).WaitAsync(Sandbox.Patience);

        Assert.Equal((RunEnd.Interrupted, 0), (end, run.Committed));
        faults.Disarm();
    }

    [Fact]
    public void Percentiles_are_pauses_that_were_measured()
    {
        var pauses = new PauseStatistics();
        Assert.Null(pauses.ToLine());
        for (var i = 1; i <= 200; i++)
            pauses.Add(i);
        Assert.Equal((100, 198, 200), (pauses.ToLine()!.P50, pauses.ToLine()!.P99, pauses.ToLine()!.Max));
    }

    // Vcpu 1 dies in its first exit; or ends the run there, and dies when that has ended.
    private sealed class Failing(GuestMachine guest, CancellationTokenSource? run = null, ManualResetEventSlim? ending = null) : IExitHandler
    {
        public ExitAction Handle(int vcpu, in VcpuExit exit)
        {
            if (vcpu != 1)
                return guest.Handle(vcpu, exit);
            run?.Cancel();
            ending?.Wait(Sandbox.Patience);
            throw new InvalidOperationException("the device caught fire");
        }
    }
}
