using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>Compares what was read back from a restored machine with what was to be set, register by register.</summary>
internal static class X64Comparison
{
    /// <summary>
    /// Registers that go on counting, or whose value is the host's, so that a value read back legitimately differs.
    /// </summary>
    private static readonly HashSet<string> s_freeRunning =
    [
        "IA32_TSC", // Counts on between the set and the read.
        "IA32_MPERF", "IA32_APERF", // Count cycles of the host's processor.
        "lapic.tmcct", // Counts down from tmict.
        "clock", "clock.flags", "clock.realtime", "clock.host_tsc", // Go on; the flags say how the read was made.
        "pit0.count_load_time", "pit1.count_load_time", "pit2.count_load_time", // The host's time of the set.
        "HV_X64_TIME_REF_COUNT", "HV_X64_VP_RUNTIME", // Count on.
    ];

    /// <summary>Adds a refusal for each register that differs, is missing, or is there without being wanted.</summary>
    public static void AddDifferences(int? vcpu, StateList wanted, StateList found, List<RegisterRefusal> refusals)
    {
        foreach (var item in wanted)
        {
            if (!found.TryGet(item.Id, out var value))
                AddUnlessNamed(vcpu, item.Id, item.Value, default, refusals);
            else if (value.Length != item.Value.Length)
                AddUnlessNamed(vcpu, item.Id, item.Value, value, refusals);
            else if (!value.Span.SequenceEqual(item.Value.Span))
                AddFields(vcpu, item, value, refusals);
        }

        foreach (var item in found)
        {
            if (!wanted.TryGet(item.Id, out _))
                AddUnlessNamed(vcpu, item.Id, default, item.Value, refusals);
        }
    }

    private static void AddFields(int? vcpu, StateItem wanted, ReadOnlyMemory<byte> found, List<RegisterRefusal> refusals)
    {
        var covered = new bool[wanted.Value.Length];
        foreach (var field in X64Fields.Of(wanted.Id, wanted.Value.Length))
        {
            covered.AsSpan(field.Offset, field.Size).Fill(true);
            var want = wanted.Value.Slice(field.Offset, field.Size);
            var have = found.Slice(field.Offset, field.Size);
            if (!want.Span.SequenceEqual(have.Span) && !s_freeRunning.Contains(field.Name))
                refusals.Add(new RegisterRefusal(vcpu, field.Name, wanted.Id, want, have, 0));
        }

        // Bytes that no field covers are compared too: one refusal for the first of each group.
        for (var i = 0; i < covered.Length; i++)
        {
            if (!covered[i] && wanted.Value.Span[i] != found.Span[i])
            {
                refusals.Add(new RegisterRefusal(vcpu, X64Fields.NameAt(wanted.Id, i), wanted.Id, wanted.Value.Slice(i, 1), found.Slice(i, 1), 0));
                return;
            }
        }
    }

    // What the kernel refused with an error has been named with that error already.
    private static void AddUnlessNamed(int? vcpu, ulong id, ReadOnlyMemory<byte> wanted, ReadOnlyMemory<byte> found, List<RegisterRefusal> refusals)
    {
        if (!refusals.Exists(refusal => refusal.Id == id && refusal.Vcpu == vcpu))
            refusals.Add(new RegisterRefusal(vcpu, X64Fields.NameOf(id), id, wanted, found, 0));
    }
}
