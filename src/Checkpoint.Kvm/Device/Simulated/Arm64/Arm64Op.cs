using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>The instruction forms that the interpreter knows; R is a register, I a number in the instruction.</summary>
internal enum Arm64Kind : byte
{
    Unknown,
    Add,
    Subtract,
    And,
    Or,
    Xor,
    UnsignedField,
    Move,
    MultiplyAdd,
    MultiplySubtract,
    Select,
    Load,
    Store,
    Swap,
    Branch,
    BranchIf,
    BranchIfZero,
    BranchIfBit,
    Nothing,
    WaitForInterrupt,
    HypervisorCall,
    MoveVectorZero,
    Duplicate,
    AddVector,
}

/// <summary>One decoded instruction.</summary>
[StructLayout(LayoutKind.Auto)]
internal struct Arm64Op
{
    public const byte Zero = 31;
    public const byte StackPointer = 32;

    /// <summary>Where results that nobody wants go.</summary>
    public const byte Sink = 33;

    public int Generation;
    public Arm64Kind Kind;

    /// <summary>The register that is written, or for stores the one that is read.</summary>
    public byte Target;
    public byte First;

    /// <summary>The second operand; <see cref="Zero"/> where <see cref="Number"/> is it.</summary>
    public byte Second;
    public byte Third;

    /// <summary>How far the second operand is shifted left; for a bit field its rotation.</summary>
    public byte Shift;

    /// <summary>A condition, the last bit of a field, a bit to test; bytes of an access to memory.</summary>
    public byte Detail;

    /// <summary>Whether flags are set; for branches whether they go where the test fails.</summary>
    public bool IsFlagged;

    /// <summary>All ones for 64 bits, the low half for 32.</summary>
    public ulong Mask;

    /// <summary>The operand or the distance in the instruction.</summary>
    public ulong Number;
}
