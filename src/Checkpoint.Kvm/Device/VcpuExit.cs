namespace Checkpoint.Kvm.Device;

/// <summary>Why KVM_RUN returned: KVM_EXIT_* of <c>&lt;linux/kvm.h&gt;</c>, and one of our own for EINTR.</summary>
public enum VcpuExitReason
{
    /// <summary>KVM_RUN returned EINTR (a kick, or immediate_exit): a result, not an error. No exit data is valid.</summary>
    Interrupted = -1,

    /// <summary>KVM_EXIT_UNKNOWN.</summary>
    Unknown = 0,

    /// <summary>KVM_EXIT_EXCEPTION.</summary>
    Exception = 1,

    /// <summary>KVM_EXIT_IO: a port was read or written.</summary>
    Io = 2,

    /// <summary>KVM_EXIT_HYPERCALL.</summary>
    Hypercall = 3,

    /// <summary>KVM_EXIT_DEBUG.</summary>
    Debug = 4,

    /// <summary>KVM_EXIT_HLT: HLT without an in-kernel local APIC.</summary>
    Halt = 5,

    /// <summary>KVM_EXIT_MMIO: memory without a slot was read or written.</summary>
    Mmio = 6,

    /// <summary>KVM_EXIT_IRQ_WINDOW_OPEN.</summary>
    InterruptWindowOpen = 7,

    /// <summary>KVM_EXIT_SHUTDOWN: a triple fault.</summary>
    Shutdown = 8,

    /// <summary>KVM_EXIT_FAIL_ENTRY: the processor refused the guest's state.</summary>
    FailEntry = 9,

    /// <summary>KVM_EXIT_INTR.</summary>
    Signal = 10,

    /// <summary>KVM_EXIT_INTERNAL_ERROR: KVM could not go on.</summary>
    InternalError = 17,

    /// <summary>KVM_EXIT_SYSTEM_EVENT: shutdown, reset or crash by the guest's own request.</summary>
    SystemEvent = 24,
}

/// <summary>
/// One return of KVM_RUN. For <see cref="VcpuExitReason.Io"/> and <see cref="VcpuExitReason.Mmio"/> the handler reads or
/// fills <see cref="Data"/>, which lies in the page that the vCPU shares with the kernel: what is written there is what the
/// guest sees when the vCPU enters KVM_RUN again.
/// </summary>
public readonly ref struct VcpuExit
{
    /// <summary>Why KVM_RUN returned.</summary>
    public required VcpuExitReason Reason { get; init; }

    /// <summary>Whether the guest wrote (OUT, a store) or read (IN, a load).</summary>
    public bool IsWrite { get; init; }

    /// <summary>The port, for <see cref="VcpuExitReason.Io"/>.</summary>
    public ushort Port { get; init; }

    /// <summary>The guest physical address, for <see cref="VcpuExitReason.Mmio"/>.</summary>
    public ulong GuestAddress { get; init; }

    /// <summary>Bytes of one access: 1, 2, 4 or 8.</summary>
    public int AccessSize { get; init; }

    /// <summary>The bytes of the access; for a repeated IN or OUT several accesses one after another. Empty for other reasons.</summary>
    public Span<byte> Data { get; init; }

    /// <summary>The kernel's further word: hardware_entry_failure_reason, suberror of an internal error, type of a system event.</summary>
    public ulong Detail { get; init; }
}
