namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>What a simulated arm64 processor and its kernel are like.</summary>
public sealed record SimulatedArm64Options
{
    private const uint Pmu3 = 1 << 3; // KVM_ARM_VCPU_PMU_V3
    private const uint PointerAuth = 3 << 5; // KVM_ARM_VCPU_PTRAUTH_ADDRESS and …_GENERIC

    /// <summary>What a processor offers.</summary>
    public static SimulatedArm64Options Of(Arm64Processor processor) => new()
    {
        Processor = processor,
        Pmu = (processor.Features & Pmu3) != 0,
        PointerAuthentication = (processor.Features & PointerAuth) == PointerAuth,
        SveVectorLengths = processor.SveVectorLengths,
    };

    /// <summary>Whether there is a performance monitor (KVM_CAP_ARM_PMU_V3).</summary>
    public bool Pmu { get; init; } = true;

    /// <summary>Whether there is pointer authentication (KVM_CAP_ARM_PTRAUTH_ADDRESS and KVM_CAP_ARM_PTRAUTH_GENERIC).</summary>
    public bool PointerAuthentication { get; init; }

    /// <summary>The longest SVE vector in units of 128 bits, 1 to 16; 0 for a processor without SVE.</summary>
    public int SveVectorLengths { get; init; }

    /// <summary>Whether TCR2_EL1, PIRE0_EL1 and PIR_EL1 are listed, as every kernel did until Linux 6.12.</summary>
    public bool ListsTranslationExtensions { get; init; } = true;

    /// <summary>Whether there is the second bitmap of vendor services, which came with Linux 6.16.</summary>
    public bool HasSecondVendorBitmap { get; init; }

    /// <summary>The processor whose system registers a vCPU has; null for a plain ARMv8.1 one.</summary>
    public Arm64Processor? Processor { get; init; }

    /// <summary>MIDR_EL1, without a <see cref="Processor"/>: the processor's maker and model, which a vCPU can't change.</summary>
    public ulong Midr { get; init; } = 0x413f_d0c1;
}
