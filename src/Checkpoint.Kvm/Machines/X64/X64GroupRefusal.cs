using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// Finds out which registers of a struct a kernel says no to: KVM_SET_SREGS2 and its like answer with an error number alone. It tries
/// other values on the vCPU itself, which has not run and, unless a policy lets the refusal pass, never will.
/// </summary>
internal sealed class X64GroupRefusal
{
    // A struct of 4096 bytes that is random to its last bit needs more; then the whole of it is named.
    private const int MaxCalls = 8192;

    private readonly IVcpu _vcpu;
    private readonly X64Group _group;
    private readonly ReadOnlyMemory<byte> _wanted;
    private readonly byte[] _had;
    private readonly byte[]? _longMode;
    private readonly List<RegisterField> _fields;
    private int _calls;

    private X64GroupRefusal(IVcpu vcpu, X64Group group, ReadOnlyMemory<byte> wanted)
    {
        _vcpu = vcpu;
        _group = group;
        _wanted = wanted;
        _had = new byte[group.Size];
        vcpu.Get(group.Get, _had);
        _fields = X64GroupFields.Of(group.Id, wanted.Length);
        _longMode = X64LongMode.Of(_fields, _had, wanted.Span);
    }

    /// <summary>What is to blame.</summary>
    /// <param name="vcpu">
    /// A vCPU that has not run. It is left with the wanted struct without what is to blame: bits that are refused are turned, of numbers
    /// that are refused it keeps its own; where that is not known, all of the struct is as it was.
    /// </param>
    /// <param name="group">The struct.</param>
    /// <param name="wanted">What it refused, of the struct's size.</param>
    /// <param name="errno">The error number of the refusal.</param>
    /// <returns>The registers, each with the bits that are in the way; the whole group where none can be found.</returns>
    public static IReadOnlyList<RegisterRefusal> Find(IVcpu vcpu, X64Group group, ReadOnlyMemory<byte> wanted, int errno)
    {
        var whole = new RegisterRefusal(vcpu.Index, X64Fields.NameOf(group.Id), group.Id, wanted, default, errno);

        // Its parts depend on each other and on the host's processor as a whole.
        if (group.Id == StateIds.X64NestedState)
            return [whole];
        try
        {
            var search = new X64GroupRefusal(vcpu, group, wanted);
            var blamed = search.Search();
            search.Leave(blamed);
            return blamed.Count == 0
                ? [whole]
                : [.. blamed.OrderBy(each => each.Field.Offset).Select(each =>
                    new RegisterRefusal(vcpu.Index, each.Field.Name, group.Id, wanted.Slice(each.Field.Offset, each.Field.Size), default, errno) { Bits = each.Bits })];
        }
        catch (KvmException)
        {
            return [whole];
        }
    }

    private List<Blame> Search()
    {
        var bits = SingleBits();
        if (bits.Exists(IsCause))
            return bits.FindAll(IsCause);
        var fields = SingleFields();
        if (fields.Exists(IsCause))
            return fields.FindAll(IsCause);
        var grown = Grow();
        return grown.Count > 0 ? grown : bits;

        static bool IsCause(Blame each) => !X64GroupFields.DecidesOnOthers(each.Field);
    }

    // Any of several cures will do.
    private void Leave(List<Blame> blamed) => _vcpu.Set(_group.Set, blamed.Count > 0 ? blamed[0].Taken : _had);

    // Bits that, each turned alone, make the value one that the kernel takes; numbers that do so as the vCPU has them.
    private List<Blame> SingleBits()
    {
        var blamed = new List<Blame>();
        foreach (var field in _fields.Where(field => field.Size <= sizeof(ulong) && (IsDifferent(field) || X64GroupFields.IsControl(field))))
        {
            if (!X64GroupFields.HasBits(field))
            {
                var trial = X64GroupFields.With(_wanted.Span, field, _had);
                if (Takes(trial))
                    blamed.Add(new Blame(field, 0, trial));
                continue;
            }

            var (bits, taken) = (0UL, _had);
            var number = X64GroupFields.Read(_wanted.Span, field);
            for (var left = X64GroupFields.IsControl(field) ? ulong.MaxValue : number ^ X64GroupFields.Read(_had, field); left != 0; left &= left - 1)
            {
                var bit = left & (~left + 1);
                var trial = X64GroupFields.With(_wanted.Span, field, number ^ bit);
                if (Takes(trial))
                    (bits, taken) = (bits | bit, trial);
            }

            if (bits != 0)
                blamed.Add(new Blame(field, bits, taken));
        }

        return blamed;
    }

    // Registers that alone, as the vCPU has them or as they are in long mode at its least, make the value one that the kernel takes.
    private List<Blame> SingleFields()
    {
        var blamed = new List<Blame>();
        foreach (var field in _fields)
        {
            foreach (var other in new[] { _had, _longMode })
            {
                if (other is null || !X64GroupFields.Differs(_wanted.Span, other, field))
                    continue;
                var trial = X64GroupFields.With(_wanted.Span, field, other);
                if (!Takes(trial))
                    continue;
                GrowByBits(ref trial, field);
                blamed.Add(new Blame(field, BitsIn(trial, field), trial));
                break;
            }
        }

        return _calls > MaxCalls ? [] : blamed;
    }

    // From a value that is taken towards the wanted one, register by register and then bit by bit, again while anything is taken: a bit
    // may need others first. What is never taken is to blame.
    private List<Blame> Grow()
    {
        var current = _longMode is not null && Takes(_longMode) ? _longMode.ToArray() : _had.ToArray();
        if (!Takes(current))
            return [];
        var rest = _fields.Where(field => X64GroupFields.Differs(_wanted.Span, current, field)).ToList();

        // What decides whether others are looked at goes first, so that they are looked at when their turn comes.
        foreach (var field in rest.Where(field => field.Name == X64GroupFields.ComponentsInUse).ToArray())
            GrowByBits(ref current, field);
        for (var hasGrown = true; hasGrown && rest.Count > 0;)
        {
            hasGrown = false;
            foreach (var field in rest.ToArray())
            {
                var trial = X64GroupFields.With(current, field, _wanted.Span);
                if (Takes(trial))
                {
                    (current, hasGrown) = (trial, true);
                    rest.Remove(field);
                }
            }

            foreach (var field in rest)
                hasGrown |= GrowByBits(ref current, field);
            if (_calls > MaxCalls)
                return [];
        }

        return [.. rest.Select(field => new Blame(field, BitsIn(current, field), current))];
    }

    private bool GrowByBits(ref byte[] current, RegisterField field)
    {
        var hasGrown = false;
        for (var goesOn = X64GroupFields.HasBits(field); goesOn;)
        {
            goesOn = false;
            for (var left = BitsIn(current, field); left != 0; left &= left - 1)
            {
                var trial = X64GroupFields.With(current, field, X64GroupFields.Read(current, field) ^ (left & (~left + 1)));
                if (!Takes(trial))
                    continue;
                current = trial;
                hasGrown = goesOn = true;
            }
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

    private bool IsDifferent(RegisterField field) => X64GroupFields.Differs(_wanted.Span, _had, field);

    // In which bits a value that is taken is not the wanted one; 0 where bits say nothing.
    private ulong BitsIn(byte[] taken, RegisterField field) =>
        X64GroupFields.HasBits(field) ? X64GroupFields.Read(_wanted.Span, field) ^ X64GroupFields.Read(taken, field) : 0;

    /// <summary>A register that is to blame.</summary>
    /// <param name="Field">The register.</param>
    /// <param name="Bits">The bits that are in the way; 0 where it is the whole register.</param>
    /// <param name="Taken">The struct that the kernel takes, the wanted one but for what is to blame.</param>
    private readonly record struct Blame(RegisterField Field, ulong Bits, byte[] Taken);
}
