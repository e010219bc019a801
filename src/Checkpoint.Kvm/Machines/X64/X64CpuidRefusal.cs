using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>
/// Finds out what in a CPUID table a kernel says no to, with vCPUs of a small machine that is thrown away. KVM_SET_CPUID2 answers with an
/// error number alone.
/// </summary>
internal static class X64CpuidRefusal
{
    private const int RegistersOffset = 12;
    private const int RegistersSize = 16;

    /// <summary>What is to blame in a machine's tables.</summary>
    /// <param name="kvm">The kernel that refused to set one of them.</param>
    /// <param name="description">The machine.</param>
    /// <param name="errno">The error number.</param>
    /// <returns>The features and numbers that this host does not have; where that is not it, the leaves that the kernel does not take.</returns>
    public static IReadOnlyList<RegisterRefusal> Find(IKvm kvm, MachineDescription description, int errno)
    {
        var supported = kvm.GetSupportedCpuid();
        using var vm = kvm.CreateVm();
        var vcpus = new List<IVcpu>();
        try
        {
            for (var i = 0; i < description.Vcpus.Length; i++)
                vcpus.Add(vm.CreateVcpu(description.Vcpus[i].Id, i));
            var check = new X64CpuidCheck(kvm, description.InterruptChip, vcpus[0], supported);
            var missing = vcpus.SelectMany(vcpu => check.Against(vcpu.Index, description.Vcpus[vcpu.Index].Features)).ToList();
            return missing.Count > 0
                ? missing
                : [.. vcpus.SelectMany(vcpu => FindIn(vcpu, description.Vcpus[vcpu.Index].Features.ToArray(), supported.Span, errno))];
        }
        finally
        {
            vcpus.ForEach(vcpu => vcpu.Dispose());
        }
    }

    // Grows the host's own table, which its kernel takes, by one entry of the checkpoint's after the other.
    private static List<RegisterRefusal> FindIn(IVcpu vcpu, byte[] table, ReadOnlySpan<byte> supported, int errno)
    {
        if (Takes(vcpu, table))
            return [];
        var refusals = new List<RegisterRefusal>();
        if (table.Length % X64Cpuid.EntrySize != 0)
            return [Whole(vcpu.Index, table, errno)];
        var grown = supported.ToArray();
        for (var offset = 0; offset < table.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = table.AsSpan(offset, X64Cpuid.EntrySize);
            var trial = With(grown, entry);
            if (Takes(vcpu, trial))
                grown = trial;
            else
                refusals.Add(Entry(vcpu.Index, entry, grown, errno));
        }

        // Each alone is taken: there are too many of them, or something is missing that the host's own table has.
        return refusals.Count > 0 ? refusals : [Whole(vcpu.Index, table, errno)];
    }

    private static bool Takes(IVcpu vcpu, ReadOnlySpan<byte> table)
    {
        try
        {
            vcpu.SetCpuid(table);
            return true;
        }
        catch (Exception refused) when (refused is KvmException or ArgumentException)
        {
            return false;
        }
    }

    private static byte[] With(byte[] table, ReadOnlySpan<byte> entry)
    {
        var at = PlaceOf(table, entry);
        if (at < 0)
            return [.. table, .. entry];
        var changed = table.ToArray();
        entry.CopyTo(changed.AsSpan(at));
        return changed;
    }

    private static int PlaceOf(ReadOnlySpan<byte> table, ReadOnlySpan<byte> entry)
    {
        for (var offset = 0; offset < table.Length; offset += X64Cpuid.EntrySize)
        {
            if (table.Slice(offset, 8).SequenceEqual(entry[..8])) // leaf and index
                return offset;
        }

        return -1;
    }

    private static RegisterRefusal Entry(int vcpu, ReadOnlySpan<byte> entry, ReadOnlySpan<byte> host, int errno)
    {
        var leaf = BinaryPrimitives.ReadUInt32LittleEndian(entry);
        var index = BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]);
        var name = X64CpuidNames.NameOf(leaf, index, X64CpuidRegister.Eax);
        var at = PlaceOf(host, entry);
        return new RegisterRefusal(
            vcpu,
            name[..name.LastIndexOf('.')],
            X64CpuidNames.GroupId,
            entry.Slice(RegistersOffset, RegistersSize).ToArray(),
            at < 0 ? default : host.Slice(at + RegistersOffset, RegistersSize).ToArray(),
            errno);
    }

    private static RegisterRefusal Whole(int vcpu, byte[] table, int errno) =>
        new(vcpu, X64CpuidNames.Group, X64CpuidNames.GroupId, table, default, errno);
}
