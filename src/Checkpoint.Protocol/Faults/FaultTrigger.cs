namespace Checkpoint.Protocol.Faults;

/// <summary>A rule that is being written: when. The methods that say what goes wrong finish it.</summary>
public sealed class FaultTrigger
{
    private readonly FaultPlan _plan;
    private readonly FaultWhen _when;

    internal FaultTrigger(FaultPlan plan, FaultWhen when)
    {
        _plan = plan;
        _when = when;
    }

    /// <summary>At the call that was named and all that follow; otherwise at that one alone.</summary>
    public FaultTrigger AndAfter() => new(_plan, _when with { Times = null });

    /// <summary>At so many calls, the one that was named first among them.</summary>
    public FaultTrigger Times(long calls)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(calls, 1);
        return new(_plan, _when with { Times = calls });
    }

    /// <summary>At each of the calls with this probability, 0 to 1.</summary>
    public FaultTrigger WithProbability(double probability) => new(_plan, _when with { Probability = probability });

    /// <summary>Only in this phase of a round, as <see cref="FaultPlan.PhaseSource"/> names it; calls in other phases are not counted.</summary>
    public FaultTrigger InPhase(string phase) => new(_plan, _when with { Phase = phase });

    /// <summary>
    /// Only at calls for which this is so; others are not counted. For what no name, vCPU or phase says: one machine of several, one file, or
    /// where your own code stands. Several conditions must all hold.
    /// </summary>
    /// <param name="condition">
    /// Asked before each call of that name, on the thread that makes it. It must not wait or use the plan, and must not throw.
    /// </param>
    public FaultTrigger When(Func<FaultSite, bool> condition)
    {
        ArgumentNullException.ThrowIfNull(condition);
        var both = _when.Condition is { } first ? site => first(site) && condition(site) : condition;
        return new(_plan, _when with { Condition = both });
    }

    /// <summary>The call fails.</summary>
    /// <param name="errno">The error number, see <see cref="ErrorNumbers"/>.</param>
    /// <param name="afterRegisters">
    /// For KVM_GET_MANY_REGS, KVM_SET_MANY_REGS, KVM_GET_MSRS and KVM_SET_MSRS: so many registers are done before it fails.
    /// </param>
    public FaultRule Fail(int errno, int? afterRegisters = null) => Then(new FaultAction.Fail(errno, afterRegisters));

    /// <summary>The call is made after a while, more than none and at most 30 days.</summary>
    public FaultRule Delay(TimeSpan duration) => Then(new FaultAction.Delay(duration));

    /// <summary>The call hangs: KVM_RUN until the vCPU is kicked, others until they are cancelled, all until <see cref="FaultPlan.Disarm"/>.</summary>
    public FaultRule Hang() => Then(new FaultAction.Hang());

    /// <summary>The vCPU dies: this call and all later ones on it fail with EIO.</summary>
    public FaultRule Die() => Then(new FaultAction.Die());

    /// <summary>KVM_RUN returns with KVM_EXIT_INTERNAL_ERROR.</summary>
    /// <param name="suberror">KVM_INTERNAL_ERROR_*.</param>
    public FaultRule ExitWithInternalError(ulong suberror = 1) => Then(new FaultAction.Exit(FaultExit.InternalError, suberror));

    /// <summary>KVM_RUN returns with KVM_EXIT_SHUTDOWN.</summary>
    public FaultRule TripleFault() => Then(new FaultAction.Exit(FaultExit.TripleFault));

    /// <summary>The machine goes away: this call and all later ones on the VM, its vCPUs and devices fail.</summary>
    /// <param name="errno">The error number; EIO is what a VM says that the kernel has given up, ENODEV a device that is gone.</param>
    public FaultRule LoseMachine(int errno = 5) => Then(new FaultAction.LoseMachine(errno));

    /// <summary>The journal refuses: certainly nothing is written.</summary>
    public FaultRule Refuse(string reason = "the store is busy") => Then(new FaultAction.Refuse(reason));

    /// <summary>Nobody knows whether the append was written.</summary>
    /// <param name="written">Whether it was; null: drawn from the seed.</param>
    public FaultRule EndUnknown(bool? written = null) => Then(new FaultAction.Unknown(written, "the end of the write is not known"));

    /// <summary>The connection to the store is lost before the commit has reached it: nothing is written, and nobody knows.</summary>
    public FaultRule LoseConnectionBeforeCommit() => Then(new FaultAction.Unknown(false, "the connection was lost before the commit was answered"));

    /// <summary>The connection to the store is lost behind the commit: all is written, and nobody knows.</summary>
    public FaultRule LoseConnectionAfterCommit() => Then(new FaultAction.Unknown(true, "the connection was lost before the commit was answered"));

    /// <summary>The journal's sync fails: what was written can be read and may not be on the disk.</summary>
    public FaultRule FailSync() => Then(new FaultAction.Unknown(null, "fsync of the journal failed: EIO"));

    /// <summary>Finishes the rule.</summary>
    /// <exception cref="ArgumentException">This cannot go wrong at such a call.</exception>
    public FaultRule Then(FaultAction action) => _plan.Add(_when, action);
}
