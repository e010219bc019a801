using System.Diagnostics;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Protocol.Tests.Faults;

public sealed class FaultPlanTests
{
    private const int Einval = 22;

    [Fact]
    public void A_fault_of_one_call_is_injected_at_that_call_of_that_vcpu_alone()
    {
        var faults = new FaultPlan();
        var rule = faults.On("KVM_SET_MANY_REGS", vcpu: 2, call: 3).Fail(Einval, afterRegisters: 41);
        var hits = Enumerable.Range(1, 5).Select(_ => Next(faults, "KVM_SET_MANY_REGS", 1) is not null || Next(faults, "KVM_SET_MANY_REGS", 2) is not null);
        Assert.Equal([false, false, true, false, false], hits);
        Assert.Null(Next(faults, "KVM_GET_MANY_REGS", 2));
        Assert.Equal(1, rule.Hits);
        Assert.Equal([new FaultCount("fail-partway", "KVM_SET_MANY_REGS", "vcpu 2", null, 1)], faults.Counts);
    }

    [Fact]
    public void A_lasting_fault_is_injected_from_its_call_on_and_one_of_several_calls_at_as_many()
    {
        var faults = new FaultPlan();
        faults.On("KVM_RUN", call: 2).AndAfter().Fail(Einval);
        faults.On("KVM_GET_REGS", call: 2).Times(2).Fail(Einval);
        Assert.Equal([false, true, true, true], Enumerable.Range(0, 4).Select(_ => Next(faults, "KVM_RUN", 0) is not null));
        Assert.Equal([false, true, true, false], Enumerable.Range(0, 4).Select(_ => Next(faults, "KVM_GET_REGS", 0) is not null));
    }

    [Theory]
    [InlineData("KVM_SET_MANY_REG", "KVM_SET_MANY_REGS")]
    [InlineData("kvm_run", "KVM_RUN")]
    [InlineData("jurnal.append", "journal.append")]
    public void A_name_that_no_call_has_is_refused_with_the_nearest_that_some_have(string typed, string nearest)
    {
        var failure = Assert.Throws<ArgumentException>(() => new FaultPlan().On(typed));
        Assert.StartsWith($"there is no call '{typed}'; the nearest are {nearest}, ", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void What_cannot_go_wrong_at_a_call_is_refused_there()
    {
        var faults = new FaultPlan();
        Assert.Throws<ArgumentException>(() => faults.On("KVM_GET_REGS").TripleFault());
        Assert.Throws<ArgumentException>(() => faults.On("KVM_RUN").EndUnknown());
        Assert.Throws<ArgumentException>(() => faults.On("KVM_GET_REGS").Fail(Einval, afterRegisters: 1));
        Assert.Throws<ArgumentException>(() => faults.On("KVM_CREATE_VM").Die());
        Assert.Empty(faults.Rules);
    }

    [Fact]
    public void A_beginning_with_a_star_means_every_call_at_which_it_can_go_wrong()
    {
        var faults = new FaultPlan();
        faults.On("KVM_*").TripleFault();
        Assert.Null(Next(faults, "KVM_GET_REGS", 0));
        Assert.NotNull(Next(faults, "KVM_RUN", 0));
    }

    [Fact]
    public void Random_faults_of_a_participant_depend_on_the_seed_and_its_own_calls_and_not_on_what_others_do_meanwhile()
    {
        const int calls = 400;
        var alone = Draws(7, calls, others: false);
        Assert.Equal(alone, Draws(7, calls, others: true));
        Assert.NotEqual(alone, Draws(8, calls, others: false));
        Assert.InRange(alone.Count(hit => hit), calls / 8, calls / 3);
    }

    [Fact]
    public void A_fault_of_a_phase_counts_the_calls_of_that_phase_alone()
    {
        var phase = "parking";
        var faults = new FaultPlan { PhaseSource = () => phase };
        faults.On("KVM_RUN", call: 2).InPhase("storing").Fail(Einval);
        Assert.Null(Next(faults, "KVM_RUN", 0));
        phase = "storing";
        Assert.Null(Next(faults, "KVM_RUN", 0));
        Assert.Equal("storing", Next(faults, "KVM_RUN", 0)?.Phase);
        Assert.Equal("storing", Assert.Single(faults.Counts).Phase);
    }

    [Fact]
    public void A_condition_decides_which_calls_count_and_several_must_all_hold()
    {
        var isOpen = false;
        var faults = new FaultPlan();
        var rule = faults.On("pwrite", call: 2).When(site => site.Machine == "web").When(_ => isOpen).Fail(Einval);
        Assert.Null(Write("web"));
        isOpen = true;
        Assert.Null(Write("db"));
        Assert.Null(Write("web"));
        Assert.Null(Write("db"));
        Assert.Equal("web", Write("web")?.Site.Machine);
        Assert.Null(Write("web"));
        Assert.Equal(1, rule.Hits);

        FaultHit? Write(string machine) => faults.Next(new FaultSite("pwrite", "files") { Machine = machine });
    }

    [Fact]
    public void A_plan_is_about_the_calls_of_rules_that_may_still_hit_and_about_no_others()
    {
        var faults = new FaultPlan();
        Assert.False(faults.IsAbout("KVM_RUN"));
        var once = faults.On("KVM_RUN", call: 2).Fail(Einval);
        faults.On("KVM_GET_*", vcpu: 0).Fail(Einval);
        Next(faults, "KVM_RUN", 0);
        Assert.True(faults.IsAbout("KVM_RUN"));
        Assert.NotNull(Next(faults, "KVM_RUN", 0));
        Assert.False(faults.IsAbout("KVM_RUN"));
        Assert.False(faults.IsAbout("KVM_SET_REGS"));
        Assert.NotNull(Next(faults, "KVM_GET_REGS", 0));
        Assert.True(faults.IsAbout("KVM_GET_REGS"));
        Assert.Equal([once, faults.Rules[1]], faults.Rules);
        faults.Disarm();
        Assert.False(faults.IsAbout("KVM_GET_REGS"));
    }

    [Fact]
    public void A_rule_that_is_spent_leaves_the_others_about_its_calls_in_force()
    {
        var faults = new FaultPlan();
        faults.On("KVM_RUN", call: 1).Fail(Einval);
        var lasting = faults.On("KVM_RUN", call: 2).AndAfter().Fail(Einval);
        Assert.Equal([true, true, true], Enumerable.Range(0, 3).Select(_ => Next(faults, "KVM_RUN", 0) is not null));
        Assert.Equal(2, lasting.Hits);
    }

    [Fact]
    public async Task Whoever_hangs_goes_on_when_the_faults_are_disarmed_and_nothing_goes_wrong_any_more()
    {
        var waiting = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var faults = new FaultPlan();
        faults.Injected += _ => waiting.SetResult();
        faults.On("KVM_GET_REGS").Hang();
        var hanging = Task.Run(() => faults.Wait(Next(faults, "KVM_GET_REGS", 0)!));
        await waiting.Task;
        Assert.False(hanging.IsCompleted);
        faults.Disarm();
        await hanging;
        Assert.Null(Next(faults, "KVM_GET_REGS", 0));
        Assert.Equal(1, faults.Hits);
    }

    [Fact]
    public void A_scheduler_of_its_own_hears_how_long_to_wait_and_nobody_blocks()
    {
        var waits = new NotedWaits();
        var faults = new FaultPlan(waits: waits);
        faults.On("journal.append", call: 1).Delay(TimeSpan.FromSeconds(3));
        faults.On("journal.append", call: 2).Hang();
        for (var i = 0; i < 2; i++)
            faults.Wait(faults.Next(new FaultSite("journal.append", "journal"))!);
        Assert.Equal([TimeSpan.FromSeconds(3), Timeout.InfiniteTimeSpan], waits.Durations);
    }

    [Fact]
    public void A_scheduler_of_its_own_does_what_comes_late_when_it_says_so()
    {
        var waits = new NotedWaits();
        var faults = new FaultPlan(waits: waits);
        faults.On("tgkill").Delay(TimeSpan.FromSeconds(3));
        var came = 0;
        faults.WaitAside(Next(faults, "tgkill", 0)!, () => came++);
        Assert.Equal((0, TimeSpan.FromSeconds(3)), (came, Assert.Single(waits.Durations)));
        Assert.Single(waits.Late)();
        Assert.Equal(1, came);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_hangs_beside_its_caller_comes_once_when_it_is_ended_or_the_faults_are_disarmed(bool isDisarmed)
    {
        using var end = new CancellationTokenSource();
        var faults = new FaultPlan();
        faults.On("tgkill").Hang();
        var (came, first) = (0, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously));
        faults.WaitAside(Next(faults, "tgkill", 0)!, Come, end.Token);
        Assert.Equal(0, came);
        if (isDisarmed)
            faults.Disarm();
        else
            await end.CancelAsync();
        await first.Task.WaitAsync(TimeSpan.FromSeconds(60));
        faults.Disarm();
        await end.CancelAsync();
        Assert.Equal(1, came);

        void Come()
        {
            Interlocked.Increment(ref came);
            first.TrySetResult();
        }
    }

    [Fact]
    public void Calls_that_come_late_without_number_need_no_threads()
    {
        const int calls = 2_000;
        var faults = new FaultPlan();
        faults.On("tgkill").Hang();
        var before = Process.GetCurrentProcess().Threads.Count;
        for (var i = 0; i < calls; i++)
            faults.WaitAside(Next(faults, "tgkill", 0)!, () => { });
        Assert.InRange(Process.GetCurrentProcess().Threads.Count, 1, before + (calls / 4));
        faults.Disarm();
    }

    [Fact]
    public void A_fault_that_could_never_be_met_or_never_be_made_is_no_rule()
    {
        var faults = new FaultPlan();
        Assert.Contains("no call of a vCPU", Assert.Throws<ArgumentException>(() => faults.On("fsync", vcpu: 0).Hang()).Message, StringComparison.Ordinal);
        Assert.Throws<ArgumentException>(() => faults.On("fsync").Delay(TimeSpan.FromDays(60)));
        Assert.Throws<ArgumentException>(() => faults.On("fsync").Delay(TimeSpan.Zero));
        Assert.Throws<ArgumentException>(() => faults.On("fsync").Then(new FaultAction.Fail(0)));
        Assert.Throws<ArgumentException>(() => faults.On("KVM_GET_MSRS").Then(new FaultAction.Fail(Einval, AfterRegisters: -1)));
        Assert.Throws<ArgumentException>(() => faults.On("KVM_RUN").LoseMachine(0));
        Assert.Contains("neither EINTR nor EAGAIN", Assert.Throws<ArgumentException>(() => faults.On("KVM_RUN").LoseMachine(11)).Message, StringComparison.Ordinal);
        Assert.Empty(faults.Rules);
        foreach (var call in (string[])["tgkill", "vcpu.park", "exit.handle", "KVM_CHECK_EXTENSION", "KVM_GET_DEVICE_ATTR", "KVM_GET_*"])
            Assert.Equal(1, faults.On(call, vcpu: 1).Delay(TimeSpan.FromSeconds(1)).When.Vcpu);
    }

    private static List<bool> Draws(ulong seed, int calls, bool others)
    {
        var faults = new FaultPlan(seed);
        faults.On("KVM_*").WithProbability(0.2).Fail(Einval);
        var hits = new List<bool>();
        for (var i = 0; i < calls; i++)
        {
            if (others)
                Next(faults, "KVM_GET_REGS", 1);
            hits.Add(Next(faults, "KVM_GET_REGS", 0) is not null);
        }

        return hits;
    }

    private static FaultHit? Next(FaultPlan faults, string call, int vcpu) => faults.Next(FaultSite.OnVcpu(call, vcpu));

    private sealed class NotedWaits : IFaultWaits
    {
        public List<TimeSpan> Durations { get; } = [];

        public List<Action> Late { get; } = [];

        public void Wait(FaultHit hit, TimeSpan duration, CancellationToken end) => Durations.Add(duration);

        public void WaitAside(FaultHit hit, TimeSpan duration, Action then, CancellationToken end)
        {
            Durations.Add(duration);
            Late.Add(then);
        }
    }
}
