using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines;

/// <summary>
/// Compares what was read back from a restored machine with what was to be set, register by register, whatever the
/// architecture, and lets differ what a policy lets differ.
/// </summary>
/// <param name="policy">What is asked of each register.</param>
internal sealed class StateComparison(RegisterPolicy policy)
{
    private readonly List<RegisterRefusal> _refusals = [];
    private readonly SortedSet<string> _leniences = new(StringComparer.Ordinal);

    /// <summary>What has been found so far.</summary>
    public RestoreReport Report => new([.. _refusals], [.. _leniences]);

    /// <summary>Judges one list of state.</summary>
    /// <param name="vcpu">The vCPU's index; null for the VM's own state.</param>
    /// <param name="wanted">What was to be set.</param>
    /// <param name="found">What was read back.</param>
    /// <param name="refused">What the kernel refused while it was set.</param>
    public void Add(int? vcpu, StateList wanted, StateList found, IEnumerable<RegisterRefusal> refused)
    {
        // What the kernel refused with an error is named with that error, and not once more with its value. Of a struct whose
        // refused registers are known the others are compared.
        var named = new HashSet<ulong>();
        var namedFields = new HashSet<string>(StringComparer.Ordinal);
        foreach (var refusal in refused)
        {
            if (refusal.Register == RegisterNames.NameOf(refusal.Id))
                named.Add(refusal.Id);
            else
                namedFields.Add(refusal.Register);
            Judge(WithFound(refusal, found), isMissing: !found.TryGet(refusal.Id, out _));
        }

        foreach (var item in wanted)
        {
            if (named.Contains(item.Id))
                continue;
            if (!found.TryGet(item.Id, out var value))
                Judge(Whole(vcpu, item.Id, item.Value, default), isMissing: true);
            else if (value.Length != item.Value.Length)
                Judge(Whole(vcpu, item.Id, item.Value, value), isMissing: false);
            else if (!value.Span.SequenceEqual(item.Value.Span))
                AddFields(vcpu, item, value, namedFields);
        }

        foreach (var item in found)
        {
            if (!wanted.TryGet(item.Id, out _) && !named.Contains(item.Id))
                Judge(Whole(vcpu, item.Id, default, item.Value), isMissing: true);
        }
    }

    /// <summary>
    /// Judges two lists by what they have and how large it is, before anything is set: a machine that lacks a register is
    /// told apart from one that refuses a value.
    /// </summary>
    public void AddShape(int? vcpu, StateList wanted, StateList found)
    {
        foreach (var item in wanted)
        {
            if (!found.TryGet(item.Id, out var value))
                Judge(Whole(vcpu, item.Id, item.Value, default), isMissing: true);
            else if (value.Length != item.Value.Length)
                Judge(Whole(vcpu, item.Id, item.Value, value), isMissing: false);
        }

        foreach (var item in found)
        {
            if (!wanted.TryGet(item.Id, out _))
                Judge(Whole(vcpu, item.Id, default, item.Value), isMissing: true);
        }
    }

    /// <summary>
    /// Judges what was found out about a vCPU's processor features. What both a host lacks and its kernel drops is named once.
    /// </summary>
    public void AddFeatures(IEnumerable<RegisterRefusal> refused)
    {
        foreach (var refusal in refused.DistinctBy(each => (each.Vcpu, each.Register)))
            Judge(refusal, isMissing: true);
    }

    // A register that was refused is shown with what the machine has in its place.
    private static RegisterRefusal WithFound(RegisterRefusal refusal, StateList found)
    {
        if (!refusal.Found.IsEmpty || !found.TryGet(refusal.Id, out var value))
            return refusal;
        foreach (var field in RegisterNames.FieldsOf(refusal.Id, value.Length))
        {
            if (field.Name == refusal.Register)
                return refusal with { Found = value.Slice(field.Offset, field.Size) };
        }

        return refusal.Wanted.Length == value.Length ? refusal with { Found = value } : refusal;
    }

    private static RegisterRefusal Whole(int? vcpu, ulong id, ReadOnlyMemory<byte> wanted, ReadOnlyMemory<byte> found) =>
        new(vcpu, RegisterNames.NameOf(id), id, wanted, found, 0);

    private void AddFields(int? vcpu, StateItem wanted, ReadOnlyMemory<byte> found, HashSet<string> named)
    {
        var covered = new bool[wanted.Value.Length];
        foreach (var field in RegisterNames.FieldsOf(wanted.Id, wanted.Value.Length))
        {
            covered.AsSpan(field.Offset, field.Size).Fill(true);
            var want = wanted.Value.Slice(field.Offset, field.Size);
            var have = found.Slice(field.Offset, field.Size);
            if (!want.Span.SequenceEqual(have.Span) && !named.Contains(field.Name))
                Judge(new RegisterRefusal(vcpu, field.Name, wanted.Id, want, have, 0), isMissing: false);
        }

        // Bytes that no field covers are compared too, those that follow each other as one.
        for (var i = 0; i < covered.Length;)
        {
            var start = i;
            while (i < covered.Length && !covered[i] && wanted.Value.Span[i] != found.Span[i])
                i++;
            if (i > start && !named.Contains(RegisterNames.NameAt(wanted.Id, start)))
                Judge(new RegisterRefusal(vcpu, RegisterNames.NameAt(wanted.Id, start), wanted.Id, wanted.Value[start..i], found[start..i], 0), isMissing: false);
            i = Math.Max(i, start + 1);
        }
    }

    private void Judge(RegisterRefusal difference, bool isMissing)
    {
        var rule = policy.RuleFor(difference.Register, RegisterNames.NameOf(difference.Id));
        var isLet = rule.Action switch
        {
            RegisterAction.Ignore => rule.Bits == 0 || (!isMissing && difference.Errno == 0 && DifferOnlyIn(rule.Bits, difference)),
            RegisterAction.MayBeMissing => isMissing,
            RegisterAction.Compare => isMissing && difference.Wanted.IsEmpty,
            _ => false,
        };
        if (isLet)
            _leniences.Add(difference.Register);
        else
            _refusals.Add(difference);
    }

    private static bool DifferOnlyIn(ulong bits, RegisterRefusal difference) =>
        difference.Wanted.Length == difference.Found.Length && difference.Wanted.Length <= sizeof(ulong)
        && ((Number(difference.Wanted.Span) ^ Number(difference.Found.Span)) & ~bits) == 0;

    private static ulong Number(ReadOnlySpan<byte> value)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        word.Clear();
        value.CopyTo(word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }
}
