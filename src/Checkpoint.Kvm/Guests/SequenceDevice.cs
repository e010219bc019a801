using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// A device whose answers notice a lost or doubled IO completion: IN gives each vCPU 1, 2, 3, … and the guest stops at
/// any other number; OUT, after every 16 numbers, tells the device the count, and the device counts what does not fit.
/// </summary>
/// <remarks>
/// A call concerns one vCPU and touches that vCPU's counters only, so each vCPU's own thread may call. The state is
/// saved and restored while all vCPUs are stopped.
/// </remarks>
public sealed class SequenceDevice
{
    /// <summary>IN, 4 bytes: the next number of this vCPU.</summary>
    public const ushort SequencePort = (ushort)CounterCode.SequencePort;

    /// <summary>OUT, 4 bytes: how many numbers the vCPU has got.</summary>
    public const ushort ReportPort = (ushort)CounterCode.ReportPort;

    /// <summary>Where the device's registers lie on arm64, in memory without a slot: at 0 for loads, at 4 for stores, of 4 bytes each.</summary>
    public const ulong Address = 511UL << 30;

    /// <summary>A report comes after this many numbers.</summary>
    public const int ReportEvery = (int)CounterCode.ReportEvery;

    private const uint StateVersion = 1;
    private const int HeaderBytes = 8;
    private const int CountersBytes = 28;

    private readonly SequenceCounters[] _vcpus;

    public SequenceDevice(int vcpus)
    {
        ArgumentOutOfRangeException.ThrowIfNegativeOrZero(vcpus);
        _vcpus = new SequenceCounters[vcpus];
    }

    public int VcpuCount => _vcpus.Length;

    public SequenceCounters this[int vcpu] => _vcpus[vcpu];

    /// <summary>The port whose place an address takes; null where the device has no register.</summary>
    public static ushort? PortAt(ulong guestAddress) => guestAddress switch
    {
        Address + Arm64CounterCode.SequenceOffset => SequencePort,
        Address + Arm64CounterCode.ReportOffset => ReportPort,
        _ => null,
    };

    /// <summary>Answers an IN. False if the port or the width is not this device's.</summary>
    public bool TryRead(int vcpu, ushort port, Span<byte> data)
    {
        if (port != SequencePort || data.Length != sizeof(uint))
        {
            return false;
        }

        var issued = _vcpus[vcpu].Issued + 1;
        _vcpus[vcpu] = _vcpus[vcpu] with { Issued = issued };
        BinaryPrimitives.WriteUInt32LittleEndian(data, (uint)issued); // The register is 32 bits wide; guests wrap with it.
        return true;
    }

    /// <summary>Takes an OUT. False if the port or the width is not this device's.</summary>
    public bool TryWrite(int vcpu, ushort port, ReadOnlySpan<byte> data)
    {
        if (port != ReportPort || data.Length != sizeof(uint))
        {
            return false;
        }

        var report = BinaryPrimitives.ReadUInt32LittleEndian(data);
        var before = _vcpus[vcpu];
        var reports = before.Reports + 1;
        var fits = before.Issued == reports * ReportEvery && report == (uint)before.Issued;
        _vcpus[vcpu] = before with
        {
            Reports = reports,
            WrongReports = before.WrongReports + (fits ? 0UL : 1),
            LastReport = report,
        };
        return true;
    }

    /// <summary>The state as bytes: version, number of vCPUs, then the counters of each, little-endian.</summary>
    public byte[] SaveState()
    {
        var state = new byte[HeaderBytes + (_vcpus.Length * CountersBytes)];
        BinaryPrimitives.WriteUInt32LittleEndian(state, StateVersion);
        BinaryPrimitives.WriteUInt32LittleEndian(state.AsSpan(4), (uint)_vcpus.Length);
        for (var vcpu = 0; vcpu < _vcpus.Length; vcpu++)
        {
            var counters = state.AsSpan(HeaderBytes + (vcpu * CountersBytes), CountersBytes);
            BinaryPrimitives.WriteUInt64LittleEndian(counters, _vcpus[vcpu].Issued);
            BinaryPrimitives.WriteUInt64LittleEndian(counters[8..], _vcpus[vcpu].Reports);
            BinaryPrimitives.WriteUInt64LittleEndian(counters[16..], _vcpus[vcpu].WrongReports);
            BinaryPrimitives.WriteUInt32LittleEndian(counters[24..], _vcpus[vcpu].LastReport);
        }

        return state;
    }

    /// <summary>Takes over what <see cref="SaveState"/> gave. Nothing is changed unless all of it fits.</summary>
    /// <exception cref="InvalidDataException">The bytes are no state of a device with this many vCPUs.</exception>
    public void RestoreState(ReadOnlySpan<byte> state)
    {
        var expectedBytes = HeaderBytes + (_vcpus.Length * CountersBytes);
        if (state.Length != expectedBytes)
        {
            throw new InvalidDataException(
                $"The sequence device of {_vcpus.Length} vCPUs has {expectedBytes} bytes of state, not {state.Length}.");
        }

        var version = BinaryPrimitives.ReadUInt32LittleEndian(state);
        var vcpus = BinaryPrimitives.ReadUInt32LittleEndian(state[4..]);
        if (version != StateVersion || vcpus != (uint)_vcpus.Length)
        {
            throw new InvalidDataException(
                $"The sequence device expected state version {StateVersion} for {_vcpus.Length} vCPUs, "
                + $"found version {version} for {vcpus}.");
        }

        for (var vcpu = 0; vcpu < _vcpus.Length; vcpu++)
        {
            var counters = state.Slice(HeaderBytes + (vcpu * CountersBytes), CountersBytes);
            _vcpus[vcpu] = new SequenceCounters(
                BinaryPrimitives.ReadUInt64LittleEndian(counters),
                BinaryPrimitives.ReadUInt64LittleEndian(counters[8..]),
                BinaryPrimitives.ReadUInt64LittleEndian(counters[16..]),
                BinaryPrimitives.ReadUInt32LittleEndian(counters[24..]));
        }
    }
}
