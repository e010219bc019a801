using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Interop;

/// <summary>
/// A KVM file descriptor. Every call on it counts as a use, so it is closed only after the last call has returned, even when
/// it is disposed of in the middle of KVM_RUN.
/// </summary>
internal sealed class KvmFd : SafeHandle
{
    private readonly Lock _gate = new();
    private readonly List<SafeHandle> _held = [];
    private readonly bool _closes;

    // The marshaller makes handles for results with this one.
    public KvmFd()
        : base(-1, ownsHandle: true) => _closes = true;

    private KvmFd(int fd, bool closes)
        : base(-1, ownsHandle: true)
    {
        _closes = closes;
        SetHandle(fd);
    }

    // A C int comes back in the low half of the register; what is in the high half is anybody's guess.
    public override bool IsInvalid => (int)handle < 0;

    /// <summary>The number, for messages and for those who make calls of their own while they hold this handle.</summary>
    internal int Number => (int)handle;

    /// <summary>Takes an fd that somebody else opened.</summary>
    /// <param name="fd">The fd.</param>
    /// <param name="closes">Whether releasing this handle closes the fd.</param>
    internal static KvmFd Adopt(int fd, bool closes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(fd);
        return new KvmFd(fd, closes);
    }

    /// <summary>
    /// Keeps another handle open until this one is closed. A vCPU holds its VM, and a VM holds the memory behind its slots:
    /// so memory goes only after the kernel has forgotten the machine, in whatever order the owners dispose, and the guest
    /// can never write to an address that has become somebody else's.
    /// </summary>
    internal void Hold(SafeHandle other)
    {
        var added = false;
        other.DangerousAddRef(ref added);
        lock (_gate)
            _held.Add(other);
    }

    protected override bool ReleaseHandle()
    {
        // A failing close has released the descriptor all the same: to try again could close somebody else's.
        var closed = !_closes || Libc.close(Number) == 0;
        foreach (var other in _held)
            other.DangerousRelease();
        return closed;
    }
}
