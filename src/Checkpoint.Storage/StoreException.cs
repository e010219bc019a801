namespace Checkpoint.Storage;

/// <summary>What kind of obstacle a <see cref="StoreException"/> tells of.</summary>
public enum StoreFailure
{
    /// <summary>The store, or a part of it, cannot be opened, read or written.</summary>
    Unusable,

    /// <summary>There is no such store, machine or checkpoint.</summary>
    NotFound,

    /// <summary>Another holder has the machine's lock.</summary>
    Held,

    /// <summary>The database file itself is damaged, so that nobody can say whose part of it.</summary>
    Damaged,

    /// <summary>What was given as a store's URI is none, or names a kind of store that there is not: nothing was tried.</summary>
    BadUri,

    /// <summary>The disk is full: nothing was written.</summary>
    Full,
}

/// <summary>The store cannot do what was asked. The message is one line: what, where and what to do.</summary>
public sealed class StoreException : Exception
{
    /// <summary>Tells of an obstacle.</summary>
    /// <param name="failure">Its kind.</param>
    /// <param name="message">One line: what, where and what to do.</param>
    /// <param name="inner">What the system said, where it said something.</param>
    public StoreException(StoreFailure failure, string message, Exception? inner = null)
        : base(message.ReplaceLineEndings(" "), inner) => Failure = failure;

    /// <summary>The kind of obstacle.</summary>
    public StoreFailure Failure { get; }
}
