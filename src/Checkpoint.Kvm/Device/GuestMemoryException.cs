namespace Checkpoint.Kvm.Device;

/// <summary>
/// Guest memory that was to come in when it is touched cannot be brought in: what is stored is damaged, cannot be read, or the
/// memory was disposed of. Its vCPUs do not run any more; nothing of what is missing has been seen by anybody.
/// </summary>
/// <param name="inner">Why not: what the source of the memory threw.</param>
public sealed class GuestMemoryException(Exception inner)
    : Exception("guest memory cannot be brought in: " + inner.Message, inner);
