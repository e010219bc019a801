using System.Buffers.Binary;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated.X64;

public sealed partial class SimulatedX64Vcpu
{
    private const ulong KvmclockOn = 1;

    // A nanosecond is an instruction of this VM, so all its vCPUs see one TSC, and it stands while none runs.
    private ulong Tsc => _tscOffset + (ulong)(((UInt128)(Vm.NowNs - _tscFromNs) * _tscKhz) / 1_000_000);

    private protected override int ReadRegister(ulong id, Span<byte> value)
    {
        if (!TryMsrIndex(id, out var index))
            return Errno.EINVAL;
        var word = index switch
        {
            X64MsrTable.Tsc => Tsc,
            X64MsrTable.ApicBase => _cpu.Special.apic_base,
            X64MsrTable.Efer => _cpu.Special.efer,
            X64MsrTable.FsBase => _cpu.Special.fs.@base,
            X64MsrTable.GsBase => _cpu.Special.gs.@base,
            _ => _msrs[index],
        };
        BinaryPrimitives.WriteUInt64LittleEndian(value, word);
        return 0;
    }

    private protected override int WriteRegister(ulong id, ReadOnlySpan<byte> value)
    {
        if (!TryMsrIndex(id, out var index))
            return Errno.EINVAL;
        var word = BinaryPrimitives.ReadUInt64LittleEndian(value);
        if (X64MsrTable.Refuses(index, word, _apic is not null))
            return Errno.EINVAL;
        switch (index)
        {
            case X64MsrTable.Tsc:
                (_tscOffset, _tscFromNs) = (word, Vm.NowNs);
                return 0;
            case X64MsrTable.ApicBase:
                if (!X64Special.IsValidApicBase(word))
                    return Errno.EINVAL;
                _cpu.Special.apic_base = word;
                return 0;
            case X64MsrTable.Efer:
                return WriteEfer(word);
            case X64MsrTable.FsBase:
                _cpu.Special.fs.@base = word;
                return 0;
            case X64MsrTable.GsBase:
                _cpu.Special.gs.@base = word;
                return 0;
            case X64MsrTable.TscDeadline:
                // Without the timer in deadline mode it is dropped, and nobody is told.
                _msrs[index] = _apic is { IsInDeadlineMode: true } ? word : 0;
                return 0;
            default:
                _msrs[index] = word;
                return 0;
        }
    }

    private protected override long CallWithNumber(in KvmRequest request, ulong argument)
    {
        // KVM_GET_TSC_KHZ of a vCPU has the number of KVM_ENABLE_CAP, but not its code.
        if (request.Code == KvmRequests.GetTscKhz.Code)
            return _tscKhz;
        if (request.Code == KvmRequests.SetTscKhz.Code)
            return SetTscKhz((uint)argument);
        if (request.Code != KvmRequests.KvmclockCtrl.Code)
            return -Errno.EINVAL;
        // There is nobody to tell unless the guest has switched its clock on.
        var isOn = ((_msrs.GetValueOrDefault(X64MsrTable.SystemTime) | _msrs.GetValueOrDefault(X64MsrTable.SystemTimeNew)) & KvmclockOn) != 0;
        return isOn ? 0 : -Errno.EINVAL;
    }

    // KVM_VCPU_TSC_CTRL, KVM_VCPU_TSC_OFFSET: what the guest's TSC is before the host's, as it is at the guest's frequency.
    private protected override int MoveAttribute(uint group, ulong attribute, ref ulong value, bool isWrite)
    {
        if (!Options.TscOffset || group != 0 || attribute != 0)
            return Errno.ENXIO;
        var host = (ulong)(((UInt128)Vm.HostTsc * _tscKhz) / Options.TscKhz);
        if (isWrite)
            (_tscOffset, _tscFromNs) = (host + value, Vm.NowNs);
        else
            value = Tsc - host;
        return 0;
    }

    private long SetTscKhz(uint khz)
    {
        var now = Tsc;
        (_tscOffset, _tscFromNs) = (now, Vm.NowNs);
        _tscKhz = khz == 0 ? Options.TscKhz : khz;
        // Without hardware scaling KVM helps a TSC to catch up, but can't slow it down; it has noted the frequency all the same.
        return Options.TscControl || _tscKhz >= Options.TscKhz ? 0 : -Errno.EINVAL;
    }

    private int WriteEfer(ulong wanted)
    {
        var special = _cpu.Special;
        var isPaged = (special.cr0 & X64Special.Cr0Paging) != 0;
        if (!X64Special.IsValidEfer(wanted) || (isPaged && ((special.efer ^ wanted) & X64Special.EferLme) != 0))
            return Errno.EINVAL;
        // LMA follows from LME and paging; a write does not change it.
        _cpu.Special.efer = (wanted & ~X64Special.EferLma) | (special.efer & X64Special.EferLma);
        return 0;
    }

    private bool TryMsrIndex(ulong id, out uint index)
    {
        index = (uint)id;
        return (id & StateIds.X64MsrMask) == StateIds.X64MsrBase && _msrs.ContainsKey(index);
    }
}
