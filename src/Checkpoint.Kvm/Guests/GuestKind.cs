namespace Checkpoint.Kvm.Guests;

/// <summary>The tiny guests that the demo and the tests run.</summary>
public enum GuestKind
{
    /// <summary>Every vCPU counts on its own, in every kind of register and in memory.</summary>
    Counter,

    /// <summary>The vCPUs pass tokens to each other through shared memory.</summary>
    Ledger,

    /// <summary>Every vCPU counts under a timer of its local APIC and a hardware breakpoint, in vectors of every width; on arm64 under its virtual timer and a GICv3.</summary>
    Timer,
}
