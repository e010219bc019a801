using System.Buffers.Binary;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

/// <summary>A checkpoint with one value of one vCPU changed.</summary>
internal static class AlteredState
{
    public static StateDocument With(this StateDocument document, int vcpu, Func<StateList, StateList> change) =>
        document with { Vcpus = document.Vcpus.SetItem(vcpu, change(document.Vcpus[vcpu])) };

    public static StateDocument WithItem(this StateDocument document, int vcpu, ulong id, byte[] value) =>
        document.With(vcpu, state => StateList.Create(state.Where(item => item.Id != id).Append(new StateItem(id, value))));

    public static StateDocument WithoutItem(this StateDocument document, int vcpu, ulong id) =>
        document.With(vcpu, state => StateList.Create(state.Where(item => item.Id != id)));

    /// <summary>Turns bits of a register, and tells what it was and is.</summary>
    public static (StateDocument Document, ulong Was, ulong Is) Turn(this StateDocument document, int vcpu, string register, ulong bits)
    {
        var field = FieldOf(document, vcpu, register);
        Assert.True(document.Vcpus[vcpu].TryGet(field.Id, out var item));
        var changed = item.ToArray();
        Span<byte> word = stackalloc byte[8];
        word.Clear();
        changed.AsSpan(field.Offset, field.Size).CopyTo(word);
        var was = BinaryPrimitives.ReadUInt64LittleEndian(word);
        BinaryPrimitives.WriteUInt64LittleEndian(word, was ^ bits);
        word[..field.Size].CopyTo(changed.AsSpan(field.Offset));
        return (document.WithItem(vcpu, field.Id, changed), was, was ^ bits);
    }

    /// <summary>Gives a register another value.</summary>
    public static StateDocument Put(this StateDocument document, int vcpu, string register, ulong value) =>
        document.Turn(vcpu, register, document.Turn(vcpu, register, 0).Was ^ value).Document;

    /// <summary>Turns bits of a register of a CPUID leaf; 0 is EAX.</summary>
    public static StateDocument TurnCpuid(this StateDocument document, int vcpu, uint leaf, int register, uint bits)
    {
        var table = document.Machine.Vcpus[vcpu].Features.ToArray();
        for (var offset = 0; offset < table.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = table.AsSpan(offset, X64Cpuid.EntrySize);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) != leaf)
                continue;
            var word = entry.Slice(12 + (4 * register), 4);
            BinaryPrimitives.WriteUInt32LittleEndian(word, BinaryPrimitives.ReadUInt32LittleEndian(word) ^ bits);
            var described = document.Machine.Vcpus[vcpu] with { Features = table };
            return document with { Machine = document.Machine with { Vcpus = document.Machine.Vcpus.SetItem(vcpu, described) } };
        }

        throw new Xunit.Sdk.XunitException($"CPUID has no leaf {leaf:x}.");
    }

    private static RegisterField FieldOf(StateDocument document, int vcpu, string register)
    {
        // The struct that this kernel has: both SREGS and SREGS2 hold a cr4.
        foreach (var item in document.Vcpus[vcpu])
        {
            if (X64Fields.Of(item.Id, item.Value.Length).FirstOrDefault(each => each.Name == register) is { Size: > 0 } field)
                return field;
        }

        Assert.True(RegisterNames.TryParse(register, out var id), register);
        return new RegisterField(register, id, 0, 8);
    }
}
