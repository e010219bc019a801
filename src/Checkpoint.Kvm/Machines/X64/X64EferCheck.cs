using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// KVM_SET_SREGS takes any bit of EFER; that a processor does not have it shows when the guest runs. Written as an MSR it is checked
/// (KVM_SET_MSRS), so it is written once more that way.
/// </summary>
internal static class X64EferCheck
{
    private const ulong Efer = StateIds.X64MsrBase | 0xc000_0080;

    // SCE, LME, LMA, NXE: what every processor in long mode has (Intel SDM volume 4, IA32_EFER).
    private const ulong Common = 0xd01;

    /// <summary>Writes the EFER that SREGS has set.</summary>
    /// <param name="vcpu">A vCPU that has not run.</param>
    /// <param name="batching">How MSRs travel.</param>
    /// <param name="group">SREGS or SREGS2, whose set has succeeded.</param>
    /// <param name="wanted">What was set.</param>
    /// <returns>The refusal with the bits that are in the way; null where the vCPU has it, or can't be asked.</returns>
    public static RegisterRefusal? Find(IVcpu vcpu, RegisterBatching batching, ulong group, ReadOnlyMemory<byte> wanted)
    {
        var field = X64Fields.Of(group, wanted.Length).FirstOrDefault(each => each.Name == "efer");
        if (field.Size != sizeof(ulong))
            return null;
        var value = wanted.Slice(field.Offset, field.Size);
        var efer = BinaryPrimitives.ReadUInt64LittleEndian(value.Span);
        var image = RegisterImage.Create(batching, [Efer]);
        try
        {
            image.Read(vcpu);
        }
        catch (KvmException)
        {
            return null;
        }

        // What reads back otherwise is named by the comparison.
        if (BinaryPrimitives.ReadUInt64LittleEndian(image.ValueOf(0)) != efer || Write(efer) is not { } errno)
            return null;

        var taken = efer & Common;
        var bits = 0UL;
        if (Write(taken) is null)
        {
            for (var left = efer & ~Common; left != 0; left &= left - 1)
            {
                var bit = left & (~left + 1);
                if (Write(taken | bit) is null)
                    taken |= bit;
                else
                    bits |= bit;
            }
        }

        return new RegisterRefusal(vcpu.Index, field.Name, group, value, default, errno) { Bits = bits };

        int? Write(ulong number)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(image.ValueOf(0), number);
            return image.Write(vcpu) is [var refused, ..] ? refused.Errno : null;
        }
    }
}
