using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The instruction forms that the interpreter knows; R is a register, M memory, I a number in the instruction.</summary>
internal enum X64Kind : byte
{
    Unknown,
    MovRR,
    MovRI,
    MovRM,
    MovMR,
    MovMI,
    AluRR,
    AluRI,
    AluRM,
    CmpRR,
    CmpRI,
    TestRR,
    TestRI,
    ImulRR,
    ImulRM,
    Lea,
    Jcc,
    Jmp,
    ShlRI,
    ShrRI,
    CmovRR,
    MovzxRB,
    XchgRR,
    XchgMR,
    Nop,
    In,
    Out,
    Hlt,
    Undefined,
    Fninit,
    Fld1,
    Fldz,
    Fadd,
    MovqXR,
    Punpcklqdq,
    Pxor,
    Paddq,
    VexPxor,
    VexPaddq,
    VexInserti128,
}

/// <summary>What an arithmetic instruction does; the numbers are those of its opcode's middle bits.</summary>
internal enum X64Alu : byte
{
    Add = 0,
    Or = 1,
    And = 4,
    Sub = 5,
    Xor = 6,
    Cmp = 7,
}

/// <summary>One decoded instruction.</summary>
[StructLayout(LayoutKind.Auto)]
internal struct X64Op
{
    /// <summary>The generation of decoding that it belongs to; an older one is decoded again.</summary>
    public int Generation;
    public X64Kind Kind;
    public X64Alu Alu;
    public byte Length;

    /// <summary>The register that the instruction's reg bits name.</summary>
    public byte Reg;

    /// <summary>The register that its r/m bits name, where they name no memory.</summary>
    public byte Rm;

    /// <summary>The first source of a VEX instruction; the register that is added for x87.</summary>
    public byte Second;

    /// <summary>The condition of a jump or move; bytes of a port access.</summary>
    public byte Detail;

    /// <summary>The register of the address's base, of its index; 16 is a register that is always 0.</summary>
    public byte Base;
    public byte Index;
    public byte Shift;

    /// <summary>Whether a VEX instruction is about all 256 bits; for a port access, whether the port stands in dx.</summary>
    public bool IsWide;

    /// <summary>All ones for 64 bits, the low half for 32: what a result keeps.</summary>
    public ulong Mask;
    public ulong Immediate;
    public ulong Displacement;
}
