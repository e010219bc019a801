using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>The system registers of a vCPU: which there are, what they hold after reset, and what KVM takes for them.</summary>
internal sealed class Arm64SystemState
{
    private const ulong OsLock = 2; // OSLSR_EL1.OSLK, the one bit that can be set
    private const ulong TimerFired = 4; // CNTx_CTL_EL0.ISTATUS

    private static readonly ulong s_virtualCount = Arm64SystemRegisters.IdOf("CNTVCT_EL0");
    private static readonly ulong s_physicalCount = Arm64SystemRegisters.IdOf("CNTPCT_EL0");
    private static readonly ulong s_virtualControl = Arm64SystemRegisters.IdOf("CNTV_CTL_EL0");
    private static readonly ulong s_physicalControl = Arm64SystemRegisters.IdOf("CNTP_CTL_EL0");
    private static readonly ulong s_virtualCompare = Arm64SystemRegisters.IdOf("CNTV_CVAL_EL0");
    private static readonly ulong s_physicalCompare = Arm64SystemRegisters.IdOf("CNTP_CVAL_EL0");
    private static readonly ulong s_osLockStatus = Arm64SystemRegisters.IdOf("OSLSR_EL1");
    private static readonly ulong s_control = Arm64SystemRegisters.IdOf("SCTLR_EL1");
    private static readonly ulong s_translation = Arm64SystemRegisters.IdOf("TCR_EL1");
    private static readonly ulong s_tables = Arm64SystemRegisters.IdOf("TTBR0_EL1");

    // The performance monitor's pairs, which read the same bits: what is written to the first sets them, to the second clears them.
    private static readonly (ulong Sets, ulong Clears)[] s_pairs =
    [
        (Arm64SystemRegisters.IdOf("PMINTENSET_EL1"), Arm64SystemRegisters.IdOf("PMINTENCLR_EL1")),
        (Arm64SystemRegisters.IdOf("PMCNTENSET_EL0"), Arm64SystemRegisters.IdOf("PMCNTENCLR_EL0")),
        (Arm64SystemRegisters.IdOf("PMOVSSET_EL0"), Arm64SystemRegisters.IdOf("PMOVSCLR_EL0")),
    ];

    // What a plain ARMv8.1 processor with atomics has.
    private static readonly (string Name, ulong Value)[] s_afterReset =
    [
        ("REVIDR_EL1", 0), ("CLIDR_EL1", 0x0a20_0023), ("AIDR_EL1", 0), ("CTR_EL0", 0x8444_c004), ("OSLSR_EL1", 8),
        ("SCTLR_EL1", 0x00c5_0078), ("ID_AA64PFR0_EL1", 0x1100_0000_0000_0011), ("ID_AA64DFR0_EL1", 0x0000_0000_1030_5106),
        ("ID_AA64ISAR0_EL1", 0x0000_0000_0021_1120), ("ID_AA64MMFR0_EL1", 0x0000_0000_0000_1124), ("ID_AA64MMFR1_EL1", 0x0000_0000_0021_2122),
        ("ID_DFR0_EL1", 0x0301_0066), ("MVFR0_EL1", 0x1011_0222), ("MVFR1_EL1", 0x1321_1111), ("MVFR2_EL1", 0x43),
    ];

    private readonly SimulatedVm _vm;
    private readonly Dictionary<ulong, ulong> _values = [];
    private readonly Dictionary<ulong, ulong> _resetValues = [];
    private readonly Dictionary<ulong, ulong> _writable = [];

    public Arm64SystemState(SimulatedVm vm, uint id, IEnumerable<ulong> ids)
    {
        _vm = vm;
        if (vm.Kvm.Options.Arm64.Processor is { } processor)
        {
            TakeFrom(processor, ids.ToHashSet());
        }
        else
        {
            foreach (var each in ids)
                _values[each] = 0;
            foreach (var (name, value) in s_afterReset)
                _values[Arm64SystemRegisters.IdOf(name)] = value;
            _values[Arm64SystemRegisters.IdOf("MIDR_EL1")] = vm.Kvm.Options.Arm64.Midr;
        }

        // Bit 31 is always set.
        _values[Arm64SystemRegisters.IdOf("MPIDR_EL1")] = 0x8000_0000 | AffinityOf(id);
        foreach (var (each, value) in _values)
            _resetValues[each] = value;
    }

    public IEnumerable<ulong> Ids => _values.Keys;

    /// <summary>Aff2 to Aff0 of a vCPU: sixteen to a cluster, as KVM numbers them.</summary>
    public static ulong AffinityOf(uint id) => (id & 15) | (((id >> 4) & 0xff) << 8) | (((id >> 12) & 0xff) << 16);

    /// <summary>Tells the page walk what the registers say.</summary>
    public void Configure(Arm64PageWalk tables)
    {
        tables.IsOn = (_values[s_control] & 1) != 0;
        tables.Root = _values[s_tables];
        tables.Control = _values[s_translation];
    }

    public int Read(ulong id, out ulong value)
    {
        if (!_values.TryGetValue(id, out value))
            return Errno.ENOENT;
        if (id == s_virtualCount)
            value = VirtualCount;
        else if (id == s_physicalCount)
            value = PhysicalCount;
        else if (id == s_virtualControl)
            value |= VirtualCount >= _values[s_virtualCompare] ? TimerFired : 0;
        else if (id == s_physicalControl)
            value |= PhysicalCount >= _values[s_physicalCompare] ? TimerFired : 0;
        return 0;
    }

    public int Write(ulong id, ulong value)
    {
        if (!_values.TryGetValue(id, out var held))
            return Errno.ENOENT;
        // The counters' offsets belong to the VM: setting one on any vCPU sets it on all.
        if (id == s_virtualCount)
            _vm.CounterOffsets = (_vm.NowNs - value, _vm.CounterOffsets.Physical);
        else if (id == s_physicalCount)
            _vm.CounterOffsets = (_vm.CounterOffsets.Virtual, _vm.NowNs - value);
        else if (id == s_virtualControl || id == s_physicalControl)
            _values[id] = (uint)value & ~TimerFired;
        else if (Array.Find(s_pairs, pair => pair.Sets == id || pair.Clears == id) is { Sets: not 0 } pair)
            _values[pair.Sets] = _values[pair.Clears] = (uint)(pair.Sets == id ? held | value : held & ~value);
        else if (_writable.TryGetValue(id, out var writable))
            return WriteKnown(id, value, held, writable);
        else if (Arm64SystemRegisters.IsInvariant(id))
            return value == held ? 0 : Errno.EINVAL;
        else if (id == s_osLockStatus && ((value ^ held) & ~OsLock) != 0)
            return Errno.EINVAL;
        else if (new RegisterId(id) is { Op0: 3, Op1: 0, Crn: 0, Crm: > 0 })
            return WriteIdentification(id, value, held);
        else
            _values[id] = value;
        return 0;
    }

    // A vCPU without a feature lacks the registers that come with it.
    private void TakeFrom(Arm64Processor processor, HashSet<ulong> listed)
    {
        foreach (var register in processor.SystemRegisters)
        {
            var isOfFeature = Arm64SystemRegisters.TryGet(register.Id, out var named)
                && named.Group is Arm64RegisterGroup.Pmu or Arm64RegisterGroup.PointerAuth or Arm64RegisterGroup.Sve;
            if (isOfFeature && !listed.Contains(register.Id))
                continue;
            _values[register.Id] = register.ResetValue;
            _writable[register.Id] = register.Writable;
        }
    }

    // What tells of the processor is refused beyond what can be changed; of the others the rest is left as it is.
    private int WriteKnown(ulong id, ulong value, ulong held, ulong writable)
    {
        var reset = _resetValues[id];
        var isIdentification = new RegisterId(id) is { Op0: 3, Op1: 0, Crn: 0, Crm: > 0 };
        if (value != held && ((value ^ reset) & ~writable) != 0 && (isIdentification || writable == 0 || id == s_osLockStatus))
            return Errno.EINVAL;
        if (value != held && isIdentification && _vm.HasRun)
            return Errno.EBUSY;
        _values[id] = (value & writable) | (reset & ~writable);
        return 0;
    }

    private ulong VirtualCount => _vm.NowNs - _vm.CounterOffsets.Virtual;

    private ulong PhysicalCount => _vm.NowNs - _vm.CounterOffsets.Physical;

    // What a processor has may be told smaller, not greater, and only before any vCPU has run.
    private int WriteIdentification(ulong id, ulong value, ulong held)
    {
        if (value == held)
            return 0;
        if (_vm.HasRun)
            return Errno.EBUSY;
        var most = _resetValues[id];
        if (most == 0)
            return Errno.EINVAL;
        for (var shift = 0; shift < 64; shift += 4)
        {
            if (((value >> shift) & 15) > ((most >> shift) & 15))
                return Errno.E2BIG;
        }

        _values[id] = value;
        return 0;
    }
}
