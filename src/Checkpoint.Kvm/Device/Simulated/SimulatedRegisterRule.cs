namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>How a register of a simulated vCPU behaves other than KVM's usual way.</summary>
public enum SimulatedRegisterBehaviour
{
    /// <summary>The kernel has no such register: it is not listed, and calls answer ENOENT (arm64) or EINVAL (x86).</summary>
    Missing,

    /// <summary>It is listed, but reading it fails with the rule's error number, as some MSRs do.</summary>
    Unreadable,

    /// <summary>Only the value that it holds can be set; another fails with the rule's error number, as an invariant register does.</summary>
    ReadOnly,

    /// <summary>Setting it fails with the rule's error number: to the rule's value, or to any where the rule has none.</summary>
    Refuses,

    /// <summary>Setting it succeeds, and reading it gives the rule's value.</summary>
    ReadsAs,
}

/// <summary>One register that behaves otherwise.</summary>
/// <param name="Id">The register's id; for an MSR the kernel's x86 id of it.</param>
/// <param name="Behaviour">How it behaves.</param>
public sealed record SimulatedRegisterRule(ulong Id, SimulatedRegisterBehaviour Behaviour)
{
    /// <summary>The error number; EINVAL unless said otherwise.</summary>
    public int Errno { get; init; } = Device.Errno.EINVAL;

    /// <summary>The value that is refused or read, as many bytes as the id says; empty where none is meant.</summary>
    public ReadOnlyMemory<byte> Value { get; init; }

    /// <summary>The index of the vCPU that the rule is about; null for all.</summary>
    public int? Vcpu { get; init; }

    internal bool IsAbout(int vcpu) => Vcpu is null || Vcpu == vcpu;

    internal bool RefusesValue(ReadOnlySpan<byte> value) =>
        Behaviour == SimulatedRegisterBehaviour.Refuses && (Value.IsEmpty || value.SequenceEqual(Value.Span));
}
