using System.Buffers.Binary;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>A CPUID table by leaf and index. What it does not have answers 0.</summary>
internal sealed class X64CpuidLeaves
{
    private const int IndexOffset = 4;
    private const int RegistersOffset = 12;

    // KVM's leaves begin at 0x40000000, or behind those of another hypervisor interface (cpuid.rst: the signature says where).
    private const uint FirstHypervisorLeaf = 0x4000_0000;
    private const uint HypervisorLeafStep = 0x100;
    private const int HypervisorInterfaces = 16;
    private const uint KvmFeatures = FirstHypervisorLeaf + 1;

    private readonly Dictionary<(uint Leaf, uint Index), uint[]> _entries = [];
    private readonly uint _kvmFeatures;

    /// <param name="table">Entries of struct kvm_cpuid_entry2; a rest that is no whole entry is left out.</param>
    public X64CpuidLeaves(ReadOnlySpan<byte> table)
    {
        for (var offset = 0; offset + X64Cpuid.EntrySize <= table.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = table.Slice(offset, X64Cpuid.EntrySize);
            var registers = new uint[4];
            for (var i = 0; i < registers.Length; i++)
                registers[i] = BinaryPrimitives.ReadUInt32LittleEndian(entry[(RegistersOffset + (4 * i))..]);
            _entries.TryAdd((BinaryPrimitives.ReadUInt32LittleEndian(entry), BinaryPrimitives.ReadUInt32LittleEndian(entry[IndexOffset..])), registers);
        }

        _kvmFeatures = Enumerable.Range(0, HypervisorInterfaces)
            .Select(i => FirstHypervisorLeaf + ((uint)i * HypervisorLeafStep))
            .Where(IsKvm)
            .Select(leaf => leaf + 1)
            .FirstOrDefault(uint.MaxValue);
    }

    /// <summary>The leaves and indices that it has.</summary>
    public IEnumerable<(uint Leaf, uint Index)> Keys => _entries.Keys;

    /// <summary>The value of a register of a leaf. <c>0x40000001</c> is KVM's leaf of features, wherever it lies.</summary>
    public uint this[uint leaf, uint index, X64CpuidRegister register] =>
        _entries.TryGetValue((leaf == KvmFeatures ? _kvmFeatures : leaf, index), out var registers) ? registers[(int)register] : 0;

    /// <summary>The value of a field.</summary>
    public uint this[X64CpuidField field] => field.In(this[field.Leaf, field.Index, field.Register]);

    // "KVMKVMKVM" in EBX, ECX and EDX.
    private bool IsKvm(uint leaf) =>
        _entries.TryGetValue((leaf, 0), out var registers) && registers[1] == 0x4b4d_564b && registers[2] == 0x564b_4d56 && registers[3] == 0x4d;
}
