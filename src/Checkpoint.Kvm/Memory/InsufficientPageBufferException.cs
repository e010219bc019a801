namespace Checkpoint.Kvm.Memory;

/// <summary>A checkpoint needs more room for its copy of guest memory than there is.</summary>
public sealed class InsufficientPageBufferException : Exception
{
    /// <summary>There never will be so much.</summary>
    /// <param name="neededBytes">How much it needs.</param>
    /// <param name="limitBytes">How much there is for all machines of the process.</param>
    public InsufficientPageBufferException(long neededBytes, long limitBytes)
        : base($"the memory to copy has {neededBytes >> 20} MiB and the buffer for all machines {limitBytes >> 20} MiB; give the engine a larger one")
    {
    }

    /// <summary>More came in the pause than there was room made ready for; in the pause none is made.</summary>
    /// <param name="readyBytes">How much there was.</param>
    public InsufficientPageBufferException(long readyBytes)
        : base($"while it was parked the guest had written more than the {readyBytes >> 20} MiB that there was room made ready for; the next checkpoint takes it")
    {
    }
}
