namespace Checkpoint.Kvm.Registers;

/// <summary>The registers in which CPUID answers, in the order of struct kvm_cpuid_entry2.</summary>
public enum X64CpuidRegister
{
    /// <summary>EAX.</summary>
    Eax,

    /// <summary>EBX.</summary>
    Ebx,

    /// <summary>ECX.</summary>
    Ecx,

    /// <summary>EDX.</summary>
    Edx,
}

/// <summary>One bit of what CPUID answers, or bits that are one number.</summary>
/// <param name="Leaf">What EAX asks for.</param>
/// <param name="Index">What ECX asks for; 0 for leaves without parts.</param>
/// <param name="Register">Where the answer is.</param>
/// <param name="Bit">Its lowest bit.</param>
/// <param name="Bits">How many bits.</param>
public readonly record struct X64CpuidField(uint Leaf, uint Index, X64CpuidRegister Register, int Bit, int Bits = 1)
{
    /// <summary>Its value in a register's value.</summary>
    public uint In(uint register) => (uint)((register >> Bit) & ((1UL << Bits) - 1));
}
