using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>What a vCPU is made with: bits of the first word of features in struct kvm_vcpu_init (arch/arm64/include/uapi/asm/kvm.h).</summary>
[Flags]
public enum Arm64VcpuFeatures
{
    /// <summary>None.</summary>
    None = 0,

    /// <summary>KVM_ARM_VCPU_POWER_OFF: the vCPU begins stopped. It says how a vCPU begins, not what it is, so a restore leaves it out.</summary>
    PowerOff = 1 << 0,

    /// <summary>KVM_ARM_VCPU_EL1_32BIT.</summary>
    El1Aarch32 = 1 << 1,

    /// <summary>KVM_ARM_VCPU_PSCI_0_2.</summary>
    Psci = 1 << 2,

    /// <summary>KVM_ARM_VCPU_PMU_V3.</summary>
    Pmu = 1 << 3,

    /// <summary>KVM_ARM_VCPU_SVE: needs KVM_ARM_VCPU_FINALIZE.</summary>
    Sve = 1 << 4,

    /// <summary>KVM_ARM_VCPU_PTRAUTH_ADDRESS; together with the next one only.</summary>
    PointerAuthAddress = 1 << 5,

    /// <summary>KVM_ARM_VCPU_PTRAUTH_GENERIC.</summary>
    PointerAuthGeneric = 1 << 6,
}

/// <summary>
/// The features of a vCPU's description: struct kvm_vcpu_init, and with SVE after it the 64 bytes of KVM_REG_ARM64_SVE_VLS. The
/// vector lengths belong to the description because they can be set only before KVM_ARM_VCPU_FINALIZE, without which the vCPU
/// has no registers to restore.
/// </summary>
internal readonly struct Arm64VcpuInit
{
    /// <summary>sizeof(struct kvm_vcpu_init): the target, then seven words of features.</summary>
    public const int StructSize = 32;

    private const int FeaturesOffset = 4;
    private static readonly int s_lengthsSize = new RegisterId(Arm64Registers.SveLengths).SizeBytes!.Value;

    private readonly ReadOnlyMemory<byte> _bytes;

    /// <param name="bytes">The features of a vCPU's description.</param>
    /// <exception cref="ArgumentException">They are not as long as such features are.</exception>
    public Arm64VcpuInit(ReadOnlyMemory<byte> bytes)
    {
        if (bytes.Length != StructSize && bytes.Length != StructSize + s_lengthsSize)
            throw new ArgumentException($"An arm64 vCPU's features are {StructSize} or {StructSize + s_lengthsSize} bytes, not {bytes.Length}.", nameof(bytes));
        _bytes = bytes;
    }

    /// <summary>The features.</summary>
    public Arm64VcpuFeatures Features => (Arm64VcpuFeatures)BinaryPrimitives.ReadUInt32LittleEndian(_bytes.Span[FeaturesOffset..]);

    /// <summary>The set of vector lengths; empty for the host's own.</summary>
    public ReadOnlyMemory<byte> VectorLengths => _bytes[StructSize..];

    /// <summary>struct kvm_vcpu_init without KVM_ARM_VCPU_POWER_OFF.</summary>
    public byte[] ToStruct()
    {
        var init = _bytes[..StructSize].ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(init.AsSpan(FeaturesOffset), (uint)(Features & ~Arm64VcpuFeatures.PowerOff));
        return init;
    }

    /// <summary>Composes the features of a description.</summary>
    /// <param name="preferred">struct kvm_vcpu_init as KVM_ARM_PREFERRED_TARGET gave it.</param>
    /// <param name="features">The features.</param>
    public static byte[] Compose(ReadOnlySpan<byte> preferred, Arm64VcpuFeatures features)
    {
        var init = preferred[..StructSize].ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(init.AsSpan(FeaturesOffset), (uint)features);
        return init;
    }
}
