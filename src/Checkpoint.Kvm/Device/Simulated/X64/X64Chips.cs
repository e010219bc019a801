using System.Buffers.Binary;
using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>The interrupt chips, timer and clock of a simulated x86 VM: their states, not their workings. No interrupt is delivered.</summary>
internal sealed class X64Chips(SimulatedVm vm)
{
    private const int ChipOffset = 8;
    private const int ChipBytes = 512;
    private const int ElcrMaskOffset = 15;
    private const int PitChannels = 3;
    private const int PitChannelBytes = 24;
    private const int PitLoadTimeOffset = 16;
    private const uint KnownClockFlags = 14; // KVM_CLOCK_TSC_STABLE, KVM_CLOCK_REALTIME, KVM_CLOCK_HOST_TSC
    private const uint ClockReadFlags = 10; // KVM_CLOCK_TSC_STABLE, KVM_CLOCK_HOST_TSC
    private const uint RouteToChip = 1; // KVM_IRQ_ROUTING_IRQCHIP
    private const uint RouteToMsi = 2; // KVM_IRQ_ROUTING_MSI
    private const ulong MostReservedPins = SimulatedCapabilities.Routes;
    private const uint RedirectionAfterReset = 0x10000; // masked

    private readonly byte[][] _chips = [new byte[ChipBytes], new byte[ChipBytes], new byte[ChipBytes]];
    private readonly byte[] _pit = new byte[112];
    private bool _hasChips;
    private bool _isSplit;
    private bool _hasPit;
    private ulong _clockOffset;

    /// <summary>Whether local APICs are the kernel's.</summary>
    public bool HasLocalApics => _hasChips || _isSplit;

    public int CreateAll()
    {
        if (HasLocalApics)
            return Errno.EEXIST;
        if (vm.HasVcpus)
            return Errno.EINVAL;
        _hasChips = true;
        (_chips[0][ElcrMaskOffset], _chips[1][ElcrMaskOffset]) = (0xf8, 0xde);
        BinaryPrimitives.WriteUInt64LittleEndian(_chips[2], 0xfec0_0000);
        for (var pin = 0; pin < 24; pin++)
            BinaryPrimitives.WriteUInt64LittleEndian(_chips[2].AsSpan(24 + (8 * pin)), RedirectionAfterReset);
        return 0;
    }

    public int CreateSplit(ulong reservedPins)
    {
        if (reservedPins > MostReservedPins)
            return Errno.EINVAL;
        if (HasLocalApics || vm.HasVcpus)
            return Errno.EEXIST;
        _isSplit = true;
        return 0;
    }

    public int CreatePit()
    {
        if (_hasPit)
            return Errno.EEXIST;
        if (!_hasChips)
            return Errno.ENOENT;
        _hasPit = true;
        for (var channel = 0; channel < PitChannels; channel++)
        {
            var state = _pit.AsSpan(channel * PitChannelBytes, PitChannelBytes);
            BinaryPrimitives.WriteUInt32LittleEndian(state, 0x10000);
            state[13] = 0xff; // mode
            state[15] = (byte)(channel == 2 ? 0 : 1); // gate
            BinaryPrimitives.WriteUInt64LittleEndian(state[PitLoadTimeOffset..], vm.NowNs);
        }

        return 0;
    }

    public int SetRoutes(ReadOnlySpan<byte> entries, int entryBytes)
    {
        if (!HasLocalApics || entries.Length / entryBytes > SimulatedCapabilities.Routes)
            return Errno.EINVAL;
        for (var offset = 0; offset < entries.Length; offset += entryBytes)
        {
            // gsi, type, flags
            var entry = MemoryMarshal.Cast<byte, uint>(entries.Slice(offset, entryBytes));
            var isKnown = entry[0] < SimulatedCapabilities.Routes
                && (entry[1] == RouteToMsi || (entry[1] == RouteToChip && !_isSplit && entry[2] == 0));
            if (!isKnown)
                return Errno.EINVAL;
        }

        return 0;
    }

    public int Get(in KvmRequest request, Span<byte> argument)
    {
        if (request.Code == KvmRequests.GetClock.Code)
        {
            argument.Clear();
            BinaryPrimitives.WriteUInt64LittleEndian(argument, vm.NowNs + _clockOffset);
            BinaryPrimitives.WriteUInt32LittleEndian(argument[8..], ClockReadFlags);
            BinaryPrimitives.WriteUInt64LittleEndian(argument[24..], vm.HostTsc);
            return 0;
        }

        if (request.Code == KvmRequests.GetPit2.Code)
        {
            if (!_hasPit)
                return Errno.ENXIO;
            _pit.CopyTo(argument);
            return 0;
        }

        if (request.Code != KvmRequests.GetIrqchip.Code)
            return Errno.ENOTTY;
        var errno = ChipOf(argument, out var chip);
        if (errno == 0)
            chip.CopyTo(argument[ChipOffset..]);
        return errno;
    }

    public int Set(in KvmRequest request, ReadOnlySpan<byte> argument)
    {
        if (request.Code == KvmRequests.SetClock.Code)
        {
            if ((BinaryPrimitives.ReadUInt32LittleEndian(argument[8..]) & ~KnownClockFlags) != 0)
                return Errno.EINVAL;
            _clockOffset = BinaryPrimitives.ReadUInt64LittleEndian(argument) - vm.NowNs;
            return 0;
        }

        if (request.Code == KvmRequests.SetPit2.Code)
            return _hasPit ? SetPit(argument) : Errno.ENXIO;
        if (request.Code != KvmRequests.SetIrqchip.Code)
            return Errno.ENOTTY;
        var errno = ChipOf(argument, out var chip);
        if (errno != 0)
            return errno;
        var mask = chip[ElcrMaskOffset];
        var isPic = argument[0] < 2;
        // The IOAPIC has 216 bytes, a PIC 16; what lies behind them in the union is nobody's.
        argument.Slice(ChipOffset, isPic ? 16 : 216).CopyTo(chip);
        if (isPic)
            chip[ElcrMaskOffset] = mask;
        return 0;
    }

    private int SetPit(ReadOnlySpan<byte> argument)
    {
        argument[..(PitChannels * PitChannelBytes)].CopyTo(_pit);
        argument.Slice(PitChannels * PitChannelBytes, 4).CopyTo(_pit.AsSpan(PitChannels * PitChannelBytes));
        for (var channel = 0; channel < PitChannels; channel++)
        {
            // Setting a channel loads its counter: now, and 0 counts as 65536.
            var state = _pit.AsSpan(channel * PitChannelBytes, PitChannelBytes);
            if (BinaryPrimitives.ReadUInt32LittleEndian(state) == 0)
                BinaryPrimitives.WriteUInt32LittleEndian(state, 0x10000);
            BinaryPrimitives.WriteUInt64LittleEndian(state[PitLoadTimeOffset..], vm.NowNs);
        }

        return 0;
    }

    private int ChipOf(ReadOnlySpan<byte> argument, out byte[] chip)
    {
        var number = BinaryPrimitives.ReadUInt32LittleEndian(argument);
        chip = number < _chips.Length ? _chips[number] : [];
        if (!_hasChips)
            return Errno.ENXIO;
        return number < _chips.Length ? 0 : Errno.EINVAL;
    }
}
