using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// Finds out which registers of a struct a kernel says no to: KVM_SET_SREGS2 and its like answer with an error number alone. It tries
/// other values on the vCPU itself, which has not run and, having refused something, never will.
/// </summary>
internal sealed class X64GroupRefusal
{
    // A struct of 4096 bytes that is random to its last bit needs more; then the whole of it is named.
    private const int MaxCalls = 8192;

    private const string ComponentsInUse = "xstate_bv";

    private readonly IVcpu _vcpu;
    private readonly X64Group _group;
    private readonly ReadOnlyMemory<byte> _wanted;
    private readonly byte[] _had;
    private readonly List<RegisterField> _different;
    private int _calls;

    private X64GroupRefusal(IVcpu vcpu, X64Group group, ReadOnlyMemory<byte> wanted)
    {
        _vcpu = vcpu;
        _group = group;
        _wanted = wanted;
        _had = new byte[group.Size];
        vcpu.Get(group.Get, _had);
        // What decides whether others are looked at goes first, so that they are looked at when their turn comes.
        _different = [.. Fields(group.Id, wanted.Length).Where(IsDifferent).OrderBy(field => field.Name != ComponentsInUse)];
    }

    /// <summary>What is to blame.</summary>
    /// <param name="vcpu">A vCPU that will be thrown away; the group is left with what it takes of the wanted value.</param>
    /// <param name="group">The struct.</param>
    /// <param name="wanted">What it refused, of the struct's size.</param>
    /// <param name="errno">The error number of the refusal.</param>
    /// <returns>The registers, each with the bits that are in the way; the whole group where none can be found.</returns>
    public static IReadOnlyList<RegisterRefusal> Find(IVcpu vcpu, X64Group group, ReadOnlyMemory<byte> wanted, int errno)
    {
        // Its parts depend on each other and on the host's processor as a whole.
        if (group.Id == StateIds.X64NestedState)
            return [Whole(vcpu, group, wanted, errno)];
        try
        {
            var search = new X64GroupRefusal(vcpu, group, wanted);
            var blamed = search.SingleBits();
            if (blamed.Count == 0)
                blamed = search.Grow();
            return blamed.Count == 0
                ? [Whole(vcpu, group, wanted, errno)]
                : [.. blamed.OrderBy(each => each.Field.Offset).Select(each =>
                    new RegisterRefusal(vcpu.Index, each.Field.Name, group.Id, wanted.Slice(each.Field.Offset, each.Field.Size), default, errno) { Bits = each.Bits })];
        }
        catch (KvmException)
        {
            return [Whole(vcpu, group, wanted, errno)];
        }
    }

    private static RegisterRefusal Whole(IVcpu vcpu, X64Group group, ReadOnlyMemory<byte> wanted, int errno) =>
        new(vcpu.Index, X64Fields.NameOf(group.Id), group.Id, wanted, default, errno);

    // The registers of the struct, and what lies between them.
    private static List<RegisterField> Fields(ulong id, int size)
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

    // Bits that, each turned alone, make the value one that the kernel takes.
    private List<(RegisterField Field, ulong Bits)> SingleBits()
    {
        var blamed = new List<(RegisterField Field, ulong Bits)>();
        foreach (var field in _different.Where(IsNumber))
        {
            var bits = 0UL;
            for (var left = Read(_wanted.Span, field) ^ Read(_had, field); left != 0; left &= left - 1)
            {
                var bit = left & (~left + 1);
                if (Takes(With(_wanted.Span, field, Read(_wanted.Span, field) ^ bit)))
                    bits |= bit;
            }

            if (bits != 0)
                blamed.Add((field, bits));
        }

        // Without its component a register is not looked at: that cures, and is not what is wrong.
        if (blamed.Count > 1)
            blamed.RemoveAll(each => each.Field.Name == ComponentsInUse);
        return blamed;
    }

    // From the value that the vCPU has towards the wanted one, register by register and then bit by bit, again while anything
    // is taken: a bit may need others first. What is never taken is to blame.
    private List<(RegisterField Field, ulong Bits)> Grow()
    {
        var current = _had.ToArray();
        if (!Takes(current))
            return [];
        var rest = _different.ToList();
        for (var hasGrown = true; hasGrown && rest.Count > 0;)
        {
            if (_calls > MaxCalls)
                return [];
            hasGrown = false;
            foreach (var field in rest.ToArray())
            {
                var trial = current.ToArray();
                _wanted.Span.Slice(field.Offset, field.Size).CopyTo(trial.AsSpan(field.Offset));
                if (Takes(trial))
                {
                    (current, hasGrown) = (trial, true);
                    rest.Remove(field);
                }
            }

            foreach (var field in rest.Where(IsNumber))
                hasGrown |= GrowByBits(ref current, field);
        }

        return [.. rest.Select(field => (field, IsNumber(field) ? Read(_wanted.Span, field) ^ Read(current, field) : 0))];
    }

    private bool GrowByBits(ref byte[] current, RegisterField field)
    {
        var hasGrown = false;
        for (var left = Read(_wanted.Span, field) ^ Read(current, field); left != 0; left &= left - 1)
        {
            var trial = With(current, field, Read(current, field) ^ (left & (~left + 1)));
            if (!Takes(trial))
                continue;
            current = trial;
            hasGrown = true;
        }

        return hasGrown;
    }

    private bool Takes(byte[] value)
    {
        if (++_calls > MaxCalls)
            return false;
        try
        {
            _vcpu.Set(_group.Set, value);
            return true;
        }
        catch (KvmException)
        {
            return false;
        }
    }

    private bool IsDifferent(RegisterField field) =>
        !_wanted.Span.Slice(field.Offset, field.Size).SequenceEqual(_had.AsSpan(field.Offset, field.Size));

    private static bool IsNumber(RegisterField field) => field.Size <= sizeof(ulong);

    private static ulong Read(ReadOnlySpan<byte> value, RegisterField field)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        word.Clear();
        value.Slice(field.Offset, field.Size).CopyTo(word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }

    private static byte[] With(ReadOnlySpan<byte> value, RegisterField field, ulong number)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(word, number);
        var changed = value.ToArray();
        word[..field.Size].CopyTo(changed.AsSpan(field.Offset));
        return changed;
    }
}
