using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// The vector and mask registers of one vCPU of the timer guest: 15 and 31 and k1 carry n, 14 and 30 and k2 hold ones, and every
/// other lane holds a number of its own that differs by vCPU.
/// </summary>
/// <param name="Options">How wide the vectors are.</param>
/// <param name="Vcpu">Whose they are.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct TimerVectors(GuestOptions Options, int Vcpu)
{
    public const int Registers = 32;
    public const int Lanes = 8;
    public const int Masks = 8;

    private const int MaskOfN = 1;
    private const int MaskOfOne = 2;

    private string Name => Options.UseZmm ? "zmm" : Options.UseYmm ? "ymm" : "xmm";

    private int RegistersInUse => Options.UseZmm ? Registers : Registers / 2;

    private int LanesInUse => Options.UseZmm ? Lanes : Options.UseYmm ? Lanes / 2 : Lanes / 4;

    /// <summary>What the vectors begin with, 64 bytes each, zmm0 first.</summary>
    public byte[] InitialVectors()
    {
        var bytes = new byte[Registers * Lanes * sizeof(ulong)];
        for (var i = 0; i < Registers * Lanes; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), Lane(i / Lanes, i % Lanes, 0));
        return bytes;
    }

    /// <summary>What the masks begin with, 8 bytes each, k0 first.</summary>
    public byte[] InitialMasks()
    {
        var bytes = new byte[Masks * sizeof(ulong)];
        for (var i = 0; i < Masks; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), Mask(i, 0));
        return bytes;
    }

    /// <summary>What a lane holds after n steps.</summary>
    public ulong Lane(int register, int lane, ulong n) => (register % 16) switch
    {
        15 => n,
        14 => 1,
        _ => Number((register * Lanes) + lane),
    };

    /// <summary>What a mask holds after n steps.</summary>
    public ulong Mask(int register, ulong n) => register switch
    {
        MaskOfN => n,
        MaskOfOne => 1,
        _ => Number((Registers * Lanes) + register),
    };

    /// <summary>Compares all that are in use.</summary>
    /// <param name="findings">Takes what differs.</param>
    /// <param name="view">The registers.</param>
    /// <param name="n">The steps that vector 15 has made.</param>
    /// <param name="upperN">Those of vector 31.</param>
    /// <param name="maskN">Those of k1.</param>
    public void Check(Findings findings, XsaveView view, ulong n, ulong upperN, ulong maskN)
    {
        if (!view.HasLegacyRegisters || (Options.UseYmm && !view.HasHighHalves) || (Options.UseZmm && !view.HasAvx512))
        {
            findings.Add("the XSAVE area is too short to hold the vector registers in use");
            return;
        }

        for (var register = 0; register < RegistersInUse; register++)
        {
            for (var lane = 0; lane < LanesInUse; lane++)
                findings.Equal($"{Name}{register} lane {lane}", Lane(register, lane, register < 16 ? n : upperN), view.Lane(register, lane));
        }

        for (var register = 0; register < (Options.UseZmm ? Masks : 0); register++)
            findings.Equal($"k{register}", Mask(register, maskN), view.Mask(register));
    }

    private ulong Number(int index) => StepFunction.Guest.Jump(StepFunction.Guest.Start(Options.Seed, Vcpu), (1UL << 32) + (ulong)index);
}
