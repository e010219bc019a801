using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>The registers inside a struct, as the search for the one that a kernel refuses takes them.</summary>
internal static class X64GroupFields
{
    /// <summary>The component bits of an XSAVE area.</summary>
    public const string ComponentsInUse = "xstate_bv";

    /// <summary>The registers of a struct, and what lies between them.</summary>
    /// <param name="id">The struct.</param>
    /// <param name="size">Its size in bytes.</param>
    public static List<RegisterField> Of(ulong id, int size)
    {
        var fields = new List<RegisterField>();
        var end = 0;
        foreach (var field in RegisterNames.FieldsOf(id, size).OrderBy(field => field.Offset))
        {
            AddGap(field.Offset);
            fields.Add(field);
            end = field.Offset + field.Size;
        }

        AddGap(size);
        return fields;

        void AddGap(int until)
        {
            if (until > end)
                fields.Add(new RegisterField(RegisterNames.NameAt(id, end), id, end, until - end));
        }
    }

    /// <summary>Whether its bits mean something one by one.</summary>
    public static bool HasBits(RegisterField field) => field.Size <= sizeof(ulong)

        // KVM_MP_STATE_*, vectors and a count: another bit is another state or vector, that nobody asked for.
        && field.Name is not ("mp_state" or "exception.nr" or "interrupt.nr" or "sipi_vector" or "nr_xcrs");

    /// <summary>Whether a bit of it can be wrong by being what the vCPU has: paging needs protection, long mode needs PAE.</summary>
    public static bool IsControl(RegisterField field) => field.Name is "cr0" or "cr4" or "efer";

    /// <summary>
    /// Whether it decides if the kernel looks at another register: without it that one's wrong value is taken, and it is not what is
    /// wrong. Without its component MXCSR is not checked (Intel SDM volume 1, 13.8.1), without an exception its vector is not, and a code
    /// segment of 64 bits is what long mode is needed for.
    /// </summary>
    public static bool DecidesOnOthers(RegisterField field) =>
        field.Name is ComponentsInUse or "exception.injected" or "exception.pending" or "cs.l";

    /// <summary>The value of a register of up to 8 bytes.</summary>
    public static ulong Read(ReadOnlySpan<byte> value, RegisterField field)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        word.Clear();
        value.Slice(field.Offset, field.Size).CopyTo(word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }

    /// <summary>A copy of a struct with another number in a register of up to 8 bytes.</summary>
    public static byte[] With(ReadOnlySpan<byte> value, RegisterField field, ulong number)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(word, number);
        var changed = value.ToArray();
        word[..field.Size].CopyTo(changed.AsSpan(field.Offset));
        return changed;
    }

    /// <summary>A copy of a struct with a register as another struct has it.</summary>
    public static byte[] With(ReadOnlySpan<byte> value, RegisterField field, ReadOnlySpan<byte> other)
    {
        var changed = value.ToArray();
        other.Slice(field.Offset, field.Size).CopyTo(changed.AsSpan(field.Offset));
        return changed;
    }

    /// <summary>Whether two structs differ in a register.</summary>
    public static bool Differs(ReadOnlySpan<byte> one, ReadOnlySpan<byte> other, RegisterField field) =>
        !one.Slice(field.Offset, field.Size).SequenceEqual(other.Slice(field.Offset, field.Size));
}
