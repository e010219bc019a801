using System.Globalization;

namespace Checkpoint.Protocol.Faults;

/// <summary>An exit after which a vCPU does not run again.</summary>
public enum FaultExit
{
    /// <summary>KVM_EXIT_INTERNAL_ERROR: KVM could not go on.</summary>
    InternalError,

    /// <summary>KVM_EXIT_SHUTDOWN: the guest raised a triple fault.</summary>
    TripleFault,
}

/// <summary>What goes wrong.</summary>
public abstract record FaultAction
{
    private FaultAction()
    {
    }

    /// <summary>The kind, as files and tables name it: <c>fail</c>, <c>hang</c>.</summary>
    public abstract string Kind { get; }

    /// <summary>What a call must be able to do for this to go wrong there.</summary>
    public abstract FaultAbilities Needs { get; }

    /// <summary>One line for a person, behind the name of the call.</summary>
    public abstract string Describe();

    /// <summary>The call is not made and fails, or is made for a part of its registers.</summary>
    /// <param name="Errno">The error number.</param>
    /// <param name="AfterRegisters">How many registers are read or set before it fails; null where the call is not made at all.</param>
    public sealed record Fail(int Errno, int? AfterRegisters = null) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => AfterRegisters is null ? "fail" : "fail-partway";

        /// <inheritdoc/>
        public override FaultAbilities Needs => AfterRegisters is null ? FaultAbilities.Fails : FaultAbilities.CountsRegisters;

        /// <inheritdoc/>
        public override string Describe() => AfterRegisters is { } count
            ? string.Create(CultureInfo.InvariantCulture, $"fails with {ErrorNumbers.NameOf(Errno)} after {count} registers")
            : $"fails with {ErrorNumbers.NameOf(Errno)}";
    }

    /// <summary>The call is made after a while.</summary>
    /// <param name="Duration">How long the caller waits.</param>
    public sealed record Delay(TimeSpan Duration) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => "delay";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.Waits;

        /// <inheritdoc/>
        public override string Describe() => string.Create(CultureInfo.InvariantCulture, $"takes {Duration.TotalMilliseconds:0.###} ms longer");
    }

    /// <summary>
    /// The call does not end before somebody ends it: a kick (KVM_RUN alone), a cancellation, or <see cref="FaultPlan.Disarm"/>. It
    /// is made then.
    /// </summary>
    public sealed record Hang : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => "hang";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.Waits;

        /// <inheritdoc/>
        public override string Describe() => "hangs";
    }

    /// <summary>The vCPU dies by this call: it fails with EIO, and so does every later one on this vCPU.</summary>
    public sealed record Die : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => "die";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.OnVcpu;

        /// <inheritdoc/>
        public override string Describe() => "finds the vCPU dead";
    }

    /// <summary>The guest is not entered: KVM_RUN returns with an exit that ends the vCPU.</summary>
    /// <param name="Reason">Which exit.</param>
    /// <param name="Detail">The suberror of an internal error.</param>
    public sealed record Exit(FaultExit Reason, ulong Detail = 0) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => Reason == FaultExit.TripleFault ? "triple-fault" : "internal-error";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.EntersGuest;

        /// <inheritdoc/>
        public override string Describe() => Reason == FaultExit.TripleFault
            ? "returns with a triple fault"
            : string.Create(CultureInfo.InvariantCulture, $"returns with KVM_EXIT_INTERNAL_ERROR, suberror {Detail}");
    }

    /// <summary>The machine goes away by this call: it fails, and so does every later one on the VM, its vCPUs and its devices.</summary>
    /// <param name="Errno">The error number, such as EIO or ENODEV.</param>
    public sealed record LoseMachine(int Errno) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => "machine-gone";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.OnMachine;

        /// <inheritdoc/>
        public override string Describe() => $"finds the machine gone ({ErrorNumbers.NameOf(Errno)})";
    }

    /// <summary>The journal says that certainly nothing was written.</summary>
    /// <param name="Reason">What it says.</param>
    public sealed record Refuse(string Reason) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => "refuse";

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.Commits;

        /// <inheritdoc/>
        public override string Describe() => $"is refused: {Reason}";
    }

    /// <summary>The append ends without anybody knowing whether it was written.</summary>
    /// <param name="Written">Whether it was; null: drawn from the seed.</param>
    /// <param name="Reason">What is said of it.</param>
    public sealed record Unknown(bool? Written, string Reason) : FaultAction
    {
        /// <inheritdoc/>
        public override string Kind => Written switch
        {
            null => "unknown",
            true => "unknown-written",
            false => "unknown-lost",
        };

        /// <inheritdoc/>
        public override FaultAbilities Needs => FaultAbilities.Commits;

        /// <inheritdoc/>
        public override string Describe() => $"ends unknown: {Reason}";
    }
}
