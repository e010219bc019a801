using System.Buffers.Binary;
using System.Numerics;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// Holds a checkpoint's CPUID against the host: a guest that was told of an instruction goes on using it. KVM takes most tables
/// without a word, so this is the engine's to find.
/// </summary>
/// <param name="kvm">The host's kernel.</param>
/// <param name="chip">Which interrupt controllers the machine's kernel emulates: some features are theirs.</param>
/// <param name="vcpu">A vCPU on which nothing has been set, to try the host's own table on; it gets its table back.</param>
/// <param name="table">The vCPU's table.</param>
internal sealed class X64CpuidCheck(IKvm kvm, InterruptChip chip, IVcpu vcpu, ReadOnlyMemory<byte> table)
{
    private readonly ReadOnlyMemory<byte> _all = kvm.GetSupportedCpuid();
    private X64CpuidLeaves? _supported;
    private X64CpuidLeaves? _given;

    private X64CpuidLeaves Supported => _supported ??= new X64CpuidLeaves(_all.Span);

    private X64CpuidLeaves Given => _given ??= GivenToAll();

    /// <summary>The features that a vCPU has been told of and the host does not have, and the numbers that are too large for it.</summary>
    /// <param name="index">The vCPU's index.</param>
    /// <param name="saved">Its table in the checkpoint, entries of 40 bytes.</param>
    public IReadOnlyList<RegisterRefusal> Against(int index, ReadOnlyMemory<byte> saved)
    {
        var wanted = new X64CpuidLeaves(saved.Span);
        var refusals = new List<RegisterRefusal>();
        foreach (var field in FeaturesOf(wanted, notIn: Supported))
        {
            // Software backends of KVM give every vCPU features that they do not report.
            if (!X64CpuidExceptions.Allow(field, kvm, chip, Supported) && Given[field] == 0)
                refusals.Add(Refusal(index, field, 1, 0));
        }

        // A number that the host's table does not have at all says nothing.
        foreach (var limit in X64CpuidNames.Limits)
        {
            if (Supported[limit] is var most and not 0 && wanted[limit] > most)
                refusals.Add(Refusal(index, limit, wanted[limit], most));
        }

        return refusals;
    }

    /// <summary>The features that were set and do not read back: the kernel took the table and dropped them.</summary>
    /// <param name="index">The vCPU's index.</param>
    /// <param name="set">What was set.</param>
    /// <param name="readBack">What KVM_GET_CPUID2 gave. It may have more: bits that follow the guest, and on some hosts the processor's own.</param>
    public IReadOnlyList<RegisterRefusal> Dropped(int index, ReadOnlyMemory<byte> set, ReadOnlyMemory<byte> readBack)
    {
        if (set.Span.SequenceEqual(readBack.Span))
            return [];
        var wanted = new X64CpuidLeaves(set.Span);
        var found = new X64CpuidLeaves(readBack.Span);
        var dropped = FeaturesOf(wanted, notIn: found)
            .Where(field => !X64CpuidExceptions.FollowTheGuest(field) && !IsDroppedForAll(field))
            .Select(field => Refusal(index, field, 1, 0));
        var changed = X64CpuidNames.Limits
            .Where(limit => wanted[limit] != found[limit])
            .Select(limit => Refusal(index, limit, wanted[limit], found[limit]));
        return [.. dropped, .. changed];
    }

    private static IEnumerable<X64CpuidField> FeaturesOf(X64CpuidLeaves table, X64CpuidLeaves notIn)
    {
        foreach (var (leaf, index, register) in X64CpuidFeatures.Registers)
        {
            for (var left = table[leaf, index, register] & ~notIn[leaf, index, register]; left != 0; left &= left - 1)
            {
                var field = new X64CpuidField(leaf, index, register, BitOperations.TrailingZeroCount(left));
                if (X64CpuidFeatures.IsFeature(field))
                    yield return field;
            }
        }
    }

    // Software backends of KVM report a feature and give no vCPU its bit, because the guest's CPUID is the processor's own.
    private bool IsDroppedForAll(X64CpuidField field) => Supported[field] != 0 && Given[field] == 0;

    private static RegisterRefusal Refusal(int index, X64CpuidField field, uint wanted, uint found)
    {
        var size = (field.Bits + 7) / 8;
        return new RegisterRefusal(index, X64CpuidNames.NameOf(field), X64CpuidNames.GroupId, Bytes(wanted).AsMemory(0, size), Bytes(found).AsMemory(0, size), 0);
    }

    private static byte[] Bytes(uint value)
    {
        var bytes = new byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return bytes;
    }

    // What a vCPU reads back that was given no more than KVM_GET_SUPPORTED_CPUID. Before a vCPU's first run its table may be
    // set again; one that has just that, but for its APIC id, need not be.
    private X64CpuidLeaves GivenToAll()
    {
        if (X64Cpuid.ForVcpu(table.Span, 0).AsSpan().SequenceEqual(X64Cpuid.ForVcpu(_all.Span, 0)) && vcpu.GetCpuid() is { IsEmpty: false } given)
            return new X64CpuidLeaves(given.Span);
        vcpu.SetCpuid(_all.Span);
        var tried = new X64CpuidLeaves(vcpu.GetCpuid().Span);
        vcpu.SetCpuid(table.Span);
        return tried;
    }
}
