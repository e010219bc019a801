using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors;

/// <summary>Something that an operator may want to know of a machine's store before the round's outcome tells it.</summary>
public abstract record MachineNotice
{
    private MachineNotice()
    {
    }

    /// <summary>One line for a person.</summary>
    public abstract string Describe();

    /// <summary>Nobody knows whether the last append was written: until the stream has been read again, nothing is decided.</summary>
    /// <param name="Reason">What the journal said.</param>
    public sealed record AppendUnknown(string Reason) : MachineNotice
    {
        /// <inheritdoc/>
        public override string Describe() => $"the end of a write is not known ({Reason}); the journal is read again";
    }

    /// <summary>The stream could not be read again; it is tried once more.</summary>
    /// <param name="Attempt">How often it was tried, from 1.</param>
    /// <param name="Wait">How long until the next attempt.</param>
    /// <param name="Reason">What the journal said.</param>
    public sealed record StoreAway(int Attempt, TimeSpan Wait, string Reason) : MachineNotice
    {
        /// <inheritdoc/>
        public override string Describe() => $"the journal cannot be read, attempt {Attempt} ({Reason}); the next in {(long)Wait.TotalMilliseconds} ms";
    }

    /// <summary>The stream has been read again, and the coordinator goes on with what it says.</summary>
    /// <param name="Attempts">How often it was tried.</param>
    public sealed record StoreBack(int Attempts) : MachineNotice
    {
        /// <inheritdoc/>
        public override string Describe() => $"the journal has been read again, attempt {Attempts}; the machine goes on with what it says";
    }

    /// <summary>The stream stayed unreadable for as long as <see cref="CoordinatorOptions.RecoverDeadline"/>: no checkpoint is taken any more.</summary>
    /// <param name="Reason">What the journal said.</param>
    public sealed record StoreGivenUp(string Reason) : MachineNotice
    {
        /// <inheritdoc/>
        public override string Describe() => $"the journal is given up: {Reason}; the guest runs on without checkpoints";
    }

    /// <summary>The store is at work for longer than <see cref="CoordinatorOptions.StoreDeadline"/>. The guest runs; the round goes on when the store answers.</summary>
    /// <param name="What">What it does.</param>
    /// <param name="Passed">For how long.</param>
    public sealed record StoreSilent(string What, TimeSpan Passed) : MachineNotice
    {
        /// <inheritdoc/>
        public override string Describe() => $"{What} has not ended within {(long)Passed.TotalMilliseconds} ms";
    }
}
