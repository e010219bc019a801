using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Faults;

public sealed class FaultyKvmTests : IDisposable
{
    private readonly FaultPlan _faults = new();
    private readonly FaultyKvm _kvm;
    private readonly GuestMachine _guest;

    public FaultyKvmTests()
    {
        _kvm = new FaultyKvm(
            new SimulatedKvm(new SimulatedKvmOptions { Architecture = MachineArchitecture.Arm64, ManyRegs = SimulatedManyRegs.Counting, Slice = new SimulatedSlice(50, 50) }), _faults);
        _guest = GuestMachine.Create(_kvm, GuestKind.Counter, new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = 2, Seed = 1, MemoryBytes = 2 << 20 });
    }

    [Fact]
    public void A_call_that_fails_names_itself_its_vcpu_and_that_it_was_injected()
    {
        _faults.On("KVM_GET_REG_LIST", vcpu: 1).Fail(Errno.ENOMEM);
        var failure = Assert.Throws<KvmException>(() => Vcpu(1).GetRegList());
        Assert.Equal("KVM_GET_REG_LIST failed on vCPU 1: ENOMEM; injected", failure.Message);
        Assert.NotEmpty(Vcpu(0).GetRegList());
    }

    [Fact]
    public void A_set_that_fails_after_some_registers_has_set_those_and_no_others()
    {
        ulong[] ids = [Arm64Register(0), Arm64Register(1), Arm64Register(2)];
        var batch = new RegisterBatch(ids);
        Assert.Equal(0, Vcpu(0).GetManyRegs(batch));
        var before = batch.Values.ToArray();
        for (var i = 0; i < batch.Values.Length; i++)
            batch.Values[i] ^= 0x55;
        _faults.On("KVM_SET_MANY_REGS", vcpu: 0, call: 1).Fail(Errno.EINVAL, afterRegisters: 2);
        Assert.Equal(Errno.EINVAL, Vcpu(0).SetManyRegs(batch));
        Assert.Equal(2, batch.Done);

        var after = new RegisterBatch(ids);
        Assert.Equal(0, Vcpu(0).GetManyRegs(after));
        Assert.Equal(batch.ValueOf(0).ToArray(), after.ValueOf(0).ToArray());
        Assert.Equal(batch.ValueOf(1).ToArray(), after.ValueOf(1).ToArray());
        Assert.Equal(before[^8..], after.ValueOf(2).ToArray());
    }

    [Fact]
    public async Task A_kick_that_hangs_keeps_nobody_from_kicking_and_comes_when_the_faults_end()
    {
        _faults.On("tgkill", vcpu: 0, call: 1).Hang();
        var met = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _faults.On("KVM_RUN", vcpu: 0, call: 1).Hang();
        _faults.Injected += hit =>
        {
            if (hit.Site.Call == "KVM_RUN")
                met.TrySetResult();
        };
        var running = Task.Factory.StartNew(RunOnce, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await met.Task;

        await Task.Run(() => Vcpu(0).Kick()).WaitAsync(TimeSpan.FromSeconds(30));
        Assert.False(running.IsCompleted);
        _faults.Disarm();
        Assert.Equal(VcpuExitReason.Interrupted, await running.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public void A_kick_that_comes_while_one_is_underway_by_the_same_fault_is_covered_by_it()
    {
        var waits = new HeldBack();
        var faults = new FaultPlan(waits: waits);
        using var kvm = new FaultyKvm(new SimulatedKvm(new SimulatedKvmOptions()), faults);
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2, Seed = 1, MemoryBytes = 2 << 20 });
        var (first, second) = (guest.Machine.Vcpus[0].Vcpu, guest.Machine.Vcpus[1].Vcpu);
        faults.On(FaultCalls.Kick, call: 1).Delay(TimeSpan.FromSeconds(1));
        faults.On(FaultCalls.Kick).Hang();

        // The second by another fault: it may be there before the first.
        for (var i = 0; i < 5; i++)
            first.Kick();
        Assert.Equal(2, waits.Late.Count);
        second.Kick();
        Assert.Equal(3, waits.Late.Count);

        // Once it is there the next one is a kick of its own.
        waits.Late[1]();
        first.Kick();
        Assert.Equal(4, waits.Late.Count);
        Assert.Equal(7, faults.Hits);
    }

    [Fact]
    public void A_dead_vcpu_answers_no_call_any_more_and_the_others_do()
    {
        _faults.On("KVM_RUN", vcpu: 0, call: 1).Die();
        Assert.Throws<KvmException>(() => { Vcpu(0).Run(); });
        Assert.Equal(Errno.EIO, Assert.Throws<KvmException>(() => Vcpu(0).GetRegList()).Errno);
        Assert.NotEmpty(Vcpu(1).GetRegList());
    }

    [Fact]
    public void Nothing_of_a_machine_that_has_gone_away_answers_any_more_and_another_one_does()
    {
        _faults.On("KVM_GET_REG_LIST", vcpu: 1, call: 1).LoseMachine(Errno.ENODEV);
        Assert.Throws<KvmException>(() => Vcpu(1).GetRegList());
        Assert.Equal(Errno.ENODEV, Assert.Throws<KvmException>(() => Vcpu(0).GetRegList()).Errno);
        Assert.Equal(Errno.ENODEV, Assert.Throws<KvmException>(() => _guest.Machine.Vm.CheckExtension(KvmCapability.ManyRegs)).Errno);
        using var other = GuestMachine.Create(_kvm, GuestKind.Counter, _guest.Program.Options);
        Assert.NotEmpty(other.Machine.Vcpus[0].Vcpu.GetRegList());
    }

    [Fact]
    public void A_rule_about_one_machine_of_several_leaves_the_others_alone()
    {
        _faults.On("KVM_*").When(site => site.Machine == "web").Fail(Errno.EIO);
        using var web = new FaultyKvm(new SimulatedKvm(new SimulatedKvmOptions { Architecture = MachineArchitecture.Arm64 }), _faults, "web");
        Assert.Throws<KvmException>(() => web.CreateVm());
        Assert.NotEmpty(Vcpu(0).GetRegList());
        var exits = new FaultyExitHandler(_guest, _faults, "web");
        _faults.On(FaultCalls.ExitHandle).When(site => site is { Machine: "web", Vcpu: 1 }).Fail(Errno.EIO);
        Assert.Throws<IOException>(() => exits.Handle(1, new VcpuExit { Reason = VcpuExitReason.Unknown }));
    }

    [Fact]
    public void What_belongs_to_a_vm_bears_the_name_of_its_machine()
    {
        var seen = new List<FaultSite>();
        using var kvm = new FaultyKvm(new SimulatedKvm(new SimulatedKvmOptions()), _faults, "web");
        _faults.On("*").When(site => Add(site)).Fail(Errno.EIO);
        using (GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 1, MemoryBytes = 2 << 20 }))
        {
            Assert.All(seen, site => Assert.Equal("web", site.Machine));
            Assert.Superset(new HashSet<string>(["kvm", "vm", "vcpu 0", "memory"]), seen.Select(site => site.Participant).ToHashSet());
        }

        bool Add(FaultSite site)
        {
            seen.Add(site);
            return false;
        }
    }

    [Theory]
    [InlineData(true, VcpuExitReason.Shutdown)]
    [InlineData(false, VcpuExitReason.InternalError)]
    public void An_injected_exit_comes_without_entering_the_guest(bool isTripleFault, VcpuExitReason expected)
    {
        var trigger = _faults.On("KVM_RUN", vcpu: 0, call: 1);
        _ = isTripleFault ? trigger.TripleFault() : trigger.ExitWithInternalError(suberror: 3);
        Vcpu(0).BindToCurrentThread();
        var exit = Vcpu(0).Run();
        Assert.Equal((expected, isTripleFault ? 0UL : 3UL), (exit.Reason, exit.Detail));
        Assert.Equal(VcpuExitReason.Interrupted, Vcpu(0).Run().Reason);
        Vcpu(0).Unbind();
    }

    [Theory]
    [InlineData(Errno.EINTR)]
    [InlineData(Errno.EAGAIN)]
    public void A_KVM_RUN_that_is_interrupted_has_finished_what_the_exit_before_it_left_half_done(int errno)
    {
        Vcpu(0).BindToCurrentThread();
        while (!ReadsItsDevice())
        {
        }

        var load = Register(Arm64Register(32));
        _faults.On("KVM_RUN", vcpu: 0, call: 1).Fail(errno);
        Assert.Equal(VcpuExitReason.Interrupted, Vcpu(0).Run().Reason);
        Assert.Equal((load + 4, false), (Register(Arm64Register(32)), Vcpu(0).ImmediateExit));
        Vcpu(0).Unbind();
    }

    [Fact]
    public async Task A_vcpu_that_hangs_in_KVM_RUN_is_kicked_out_of_it()
    {
        var hanging = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _faults.Injected += _ => hanging.TrySetResult();
        _faults.On("KVM_RUN", vcpu: 0, call: 1).Hang();
        var run = Task.Factory.StartNew(RunOnce, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await hanging.Task;
        Assert.False(run.IsCompleted);
        Vcpu(0).Kick();
        Assert.Equal(VcpuExitReason.Interrupted, await run.WaitAsync(TimeSpan.FromSeconds(30)));
    }

    [Fact]
    public void A_vcpu_that_parks_late_does_so_only_where_a_kick_asked_it_to()
    {
        var late = _faults.On(FaultCalls.VcpuPark, vcpu: 0).Delay(TimeSpan.FromMilliseconds(1));
        Vcpu(0).BindToCurrentThread();
        Assert.Equal(VcpuExitReason.Interrupted, Vcpu(0).Run().Reason); // A slice that is over.
        Assert.Equal(0, late.Hits);
        Vcpu(0).Kick();
        Assert.Equal(VcpuExitReason.Interrupted, Vcpu(0).Run().Reason);
        Assert.Equal(1, late.Hits);
        Vcpu(0).Unbind();
    }

    public void Dispose()
    {
        _faults.Disarm();
        _guest.Dispose();
        _kvm.Dispose();
    }

    private IVcpu Vcpu(int index) => _guest.Machine.Vcpus[index].Vcpu;

    // x0, x1, …, and 32 is pc: KVM_REG_ARM64 | KVM_REG_SIZE_U64 | KVM_REG_ARM_CORE, counted in 32-bit words of struct kvm_regs.
    private static ulong Arm64Register(ulong number) => 0x6030_0000_0010_0000 + (2 * number);

    private ulong Register(ulong id)
    {
        var value = new byte[sizeof(ulong)];
        Vcpu(0).GetOneReg(id, value);
        return BitConverter.ToUInt64(value);
    }

    private bool ReadsItsDevice()
    {
        var exit = Vcpu(0).Run();
        if (exit.Reason != VcpuExitReason.Mmio)
            return false;
        _guest.Handle(0, exit);
        return !exit.IsWrite;
    }

    private VcpuExitReason RunOnce()
    {
        Vcpu(0).BindToCurrentThread();
        try
        {
            return Vcpu(0).Run().Reason;
        }
        finally
        {
            Vcpu(0).Unbind();
        }
    }

    /// <summary>Time that does not pass.</summary>
    private sealed class HeldBack : IFaultWaits
    {
        public List<Action> Late { get; } = [];

        public void Wait(FaultHit hit, TimeSpan duration, CancellationToken end)
        {
        }

        public void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end) => Late.Add(then);
    }
}
