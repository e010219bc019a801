using System.Buffers.Binary;
using System.Globalization;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.AlterCheckpoint;

/// <summary>One value of one vCPU that a copy of a checkpoint has otherwise.</summary>
/// <param name="Kind">The option: <c>--set</c>, <c>--msr</c>, <c>--cpuid</c>, <c>--drop</c>.</param>
/// <param name="Vcpu">The vCPU's index.</param>
/// <param name="Name">The register's name, without the vCPU.</param>
/// <param name="Value">Its new value.</param>
public sealed record Alteration(string Kind, int Vcpu, string Name, ulong Value)
{
    private const int CpuidRegistersOffset = 12;

    /// <summary>Reads <c>vcpu0.cr4=0x620</c>, or without a value for <c>--drop</c>.</summary>
    /// <exception cref="FormatException">It is something else.</exception>
    public static Alteration Parse(string kind, string text)
    {
        var parts = text.Split('=', 2);
        var place = parts[0].Split('.', 2);
        if (place.Length != 2 || !place[0].StartsWith("vcpu", StringComparison.Ordinal) || !int.TryParse(place[0].AsSpan(4), NumberStyles.None, CultureInfo.InvariantCulture, out var vcpu)
            || parts.Length == 2 == (kind == "--drop"))
        {
            throw new FormatException($"'{text}' is no alteration; write {(kind == "--drop" ? "vcpu0.LAPIC" : "vcpu0.NAME=VALUE")}");
        }

        return new Alteration(kind, vcpu, place[1], parts.Length == 2 ? Number(parts[1]) : 0);
    }

    /// <summary>The document with the value altered.</summary>
    /// <exception cref="FormatException">The document has no such vCPU or register.</exception>
    public StateDocument Apply(StateDocument document)
    {
        if (Vcpu >= document.Vcpus.Length)
            throw new FormatException($"there is no vCPU {Vcpu}; the checkpoint has {document.Vcpus.Length}");
        if (Kind == "--cpuid")
        {
            var description = document.Machine.Vcpus[Vcpu];
            var vcpus = document.Machine.Vcpus.SetItem(Vcpu, description with { Features = Cpuid(description.Features.Span) });
            return document with { Machine = document.Machine with { Vcpus = vcpus } };
        }

        var state = document.Vcpus[Vcpu];
        var id = Kind == "--msr" ? StateIds.X64Msr((uint)Fitting(Number(Name), 32)) : RegisterNames.TryParse(Name, out var known) ? known : throw Unknown();

        // A kernel without SREGS2 has stored SREGS, whose registers have the same names.
        if (id == StateIds.X64Sregs2 && !state.TryGet(id, out _))
            id = StateIds.X64Sregs;
        var rest = state.Where(item => item.Id != id);
        if (Kind != "--drop")
            rest = rest.Append(new StateItem(id, Changed(state, id)));
        else if (!state.TryGet(id, out _))
            throw Unknown();
        return document with { Vcpus = document.Vcpus.SetItem(Vcpu, StateList.Create(rest)) };
    }

    /// <inheritdoc/>
    public override string ToString() => Kind == "--drop" ? $"no vcpu{Vcpu}.{Name}" : $"vcpu{Vcpu}.{Name} = 0x{Value:x}";

    private byte[] Changed(StateList state, ulong id)
    {
        var word = BitConverter.GetBytes(Value);
        if (!state.TryGet(id, out var value))
            return Kind == "--msr" ? word : throw Unknown();
        var changed = value.ToArray();
        var field = RegisterNames.FieldsOf(id, changed.Length).FirstOrDefault(each => Kind == "--msr" || each.Name.Equals(Name, StringComparison.OrdinalIgnoreCase));
        if (field.Size is 0 or > sizeof(ulong))
            throw new FormatException($"'{Name}' is not one number");
        Fitting(Value, 8 * field.Size);
        word.AsSpan(0, field.Size).CopyTo(changed.AsSpan(field.Offset));
        return changed;
    }

    private byte[] Cpuid(ReadOnlySpan<byte> table)
    {
        if (table.Length % X64Cpuid.EntrySize != 0)
            throw new FormatException("the checkpoint's machine has no CPUID");
        if (!X64CpuidNames.TryParse("cpuid." + Name, out var field))
            throw Unknown();
        var changed = table.ToArray();
        for (var offset = 0; offset < changed.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = changed.AsSpan(offset, X64Cpuid.EntrySize);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) != field.Leaf || BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]) != field.Index)
                continue;
            var register = entry[(CpuidRegistersOffset + (4 * (int)field.Register))..];
            Fitting(Value, field.Bits);
            var mask = (uint)((1UL << field.Bits) - 1) << field.Bit;
            BinaryPrimitives.WriteUInt32LittleEndian(register, (BinaryPrimitives.ReadUInt32LittleEndian(register) & ~mask) | (((uint)Value << field.Bit) & mask));
            return changed;
        }

        throw new FormatException($"the checkpoint's CPUID has no leaf {field.Leaf:x}");
    }

    private ulong Fitting(ulong number, int bits) => bits < 64 && number >> bits != 0
        ? throw new FormatException($"0x{number:x} does not fit into the {bits} bits of '{Name}'")
        : number;

    private FormatException Unknown() => new($"there is no '{Name}' in vCPU {Vcpu} of the checkpoint; 'checkpoint show REF --registers' lists what there is");

    private static ulong Number(string text)
    {
        var isHex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        return ulong.TryParse(isHex ? text[2..] : text, isHex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var number)
            ? number
            : throw new FormatException($"'{text}' is no number");
    }
}
