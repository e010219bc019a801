using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Simulated.X64;

public sealed partial class SimulatedX64Vcpu
{
    private const int CommonSregsBytes = 280; // struct kvm_sregs and kvm_sregs2 up to apic_base
    private const int Sregs2FlagsOffset = 280;
    private const int PdptrsOffset = 288;
    private const ulong PdptrsValid = 1; // KVM_SREGS2_FLAGS_PDPTRS_VALID
    private const int MaxXcrs = 16;

    // struct kvm_regs counts rax, rbx, rcx, rdx, rsi, rdi, rsp, rbp; instructions count rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi.
    private static ReadOnlySpan<byte> PlacesInStruct => [0, 2, 3, 1, 6, 7, 4, 5, 8, 9, 10, 11, 12, 13, 14, 15];

    private readonly ulong[] _pdptrs = new ulong[4];

    private protected override int ReadStruct(in KvmRequest request, Span<byte> argument)
    {
        var code = request.Code;
        if (code == KvmRequests.GetRegs.Code)
            return GetRegs(MemoryMarshal.Cast<byte, ulong>(argument));
        if (code == KvmRequests.GetSregs.Code)
            return GetSregs(argument);
        if (code == KvmRequests.GetSregs2.Code && Options.Sregs2)
            return GetSregs2(argument);
        if (code == KvmRequests.GetMpState.Code)
            return GetMpState(argument);
        if (code == KvmRequests.GetXsave.Code)
        {
            _cpu.Extended.Get(argument[..XsaveLegacyBytes]);
            return 0;
        }

        if (code == KvmRequests.GetXsave2.Code && Options.Xsave2Bytes > 0)
        {
            _cpu.Extended.Get(argument[..Options.Xsave2Bytes]);
            return 0;
        }

        if (code == KvmRequests.GetFpu.Code)
        {
            _cpu.Extended.GetFpu(argument);
            return 0;
        }

        if (code == KvmRequests.GetXcrs.Code)
        {
            argument.Clear();
            BinaryPrimitives.WriteUInt32LittleEndian(argument, 1); // nr_xcrs; the first entry's number is 0
            BinaryPrimitives.WriteUInt64LittleEndian(argument[16..], _cpu.Xcr0);
            return 0;
        }

        if (code == KvmRequests.GetDebugregs.Code)
        {
            argument.Clear();
            MemoryMarshal.AsBytes(_debug.AsSpan()).CopyTo(argument);
            return 0;
        }

        if (code == KvmRequests.GetVcpuEvents.Code)
        {
            var events = _events.Get(Vm);
            MemoryMarshal.Write(argument, events);
            return 0;
        }

        if (code == KvmRequests.GetNestedState.Code)
            return Options.NestedState ? _nested.Get(argument) : Errno.EINVAL;
        if (code != KvmRequests.GetLapic.Code || _apic is null)
            return Errno.EINVAL;
        _apic.Get(argument, Vm.NowNs);
        return 0;
    }

    private protected override int WriteStruct(in KvmRequest request, ReadOnlySpan<byte> argument)
    {
        var code = request.Code;
        if (code == KvmRequests.SetRegs.Code)
            return SetRegs(MemoryMarshal.Cast<byte, ulong>(argument));
        if (code == KvmRequests.SetSregs.Code)
            return SetSregs(argument, isSecond: false);
        if (code == KvmRequests.SetSregs2.Code && Options.Sregs2)
            return SetSregs(argument, isSecond: true);
        if (code == KvmRequests.SetMpState.Code)
            return SetMpState(BinaryPrimitives.ReadUInt32LittleEndian(argument));
        if (code == KvmRequests.SetXsave.Code)
            return _cpu.Extended.Set(argument);
        if (code == KvmRequests.SetFpu.Code)
        {
            _cpu.Extended.SetFpu(argument);
            return 0;
        }

        if (code == KvmRequests.SetXcrs.Code)
            return SetXcrs(argument);
        if (code == KvmRequests.SetDebugregs.Code)
            return SetDebugregs(MemoryMarshal.Cast<byte, ulong>(argument));
        if (code == KvmRequests.SetVcpuEvents.Code)
            return _events.Set(MemoryMarshal.Read<kvm_vcpu_events>(argument), Vm);
        if (code == KvmRequests.SetNestedState.Code)
            return Options.NestedState ? _nested.Set(argument) : Errno.EINVAL;
        if (code != KvmRequests.SetLapic.Code || _apic is null)
            return Errno.EINVAL;
        _apic.Set(argument, Vm.NowNs);
        return 0;
    }

    private protected override bool ReadSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        if (!Options.SyncRegs)
            return false;
        GetRegs(MemoryMarshal.Cast<byte, ulong>(regs));
        GetSregs(sregs);
        var pending = _events.Get(Vm);
        MemoryMarshal.Write(events, pending);
        return true;
    }

    private int GetRegs(Span<ulong> regs)
    {
        for (var i = 0; i < PlacesInStruct.Length; i++)
            regs[PlacesInStruct[i]] = _cpu.R[i];
        regs[16] = _cpu.Rip;
        regs[17] = _cpu.Rflags;
        return 0;
    }

    private int SetRegs(ReadOnlySpan<ulong> regs)
    {
        for (var i = 0; i < PlacesInStruct.Length; i++)
            _cpu.R[i] = regs[PlacesInStruct[i]];
        _cpu.Rip = regs[16];
        _cpu.Rflags = regs[17] | 2;
        _events.ForgetPendingException();
        return 0;
    }

    private int GetSregs(Span<byte> sregs)
    {
        GetCommonSregs(sregs);
        sregs[CommonSregsBytes..].Clear();
        if (_events.Interrupt is { } vector)
            sregs[CommonSregsBytes + (vector / 8)] = (byte)(1 << (vector % 8));
        return 0;
    }

    private int GetSregs2(Span<byte> sregs)
    {
        GetCommonSregs(sregs);
        sregs[CommonSregsBytes..].Clear();
        if (X64Special.UsesPdptrs(_cpu.Special))
        {
            BinaryPrimitives.WriteUInt64LittleEndian(sregs[Sregs2FlagsOffset..], PdptrsValid);
            MemoryMarshal.AsBytes(_pdptrs.AsSpan()).CopyTo(sregs[PdptrsOffset..]);
        }

        return 0;
    }

    private void GetCommonSregs(Span<byte> sregs)
    {
        var special = _cpu.Special;
        special.cr8 = _apic?.Cr8 ?? special.cr8;
        MemoryMarshal.AsBytes(MemoryMarshal.CreateReadOnlySpan(ref special, 1))[..CommonSregsBytes].CopyTo(sregs);
    }

    private int SetSregs(ReadOnlySpan<byte> sregs, bool isSecond)
    {
        kvm_sregs2 wanted = default;
        sregs[..CommonSregsBytes].CopyTo(MemoryMarshal.AsBytes(MemoryMarshal.CreateSpan(ref wanted, 1)));
        var flags = isSecond ? BinaryPrimitives.ReadUInt64LittleEndian(sregs[Sregs2FlagsOffset..]) : 0;
        if ((flags & ~PdptrsValid) != 0 || (flags != 0 && !X64Special.UsesPdptrs(wanted)))
            return Errno.EINVAL;
        if (!X64Special.AreValid(wanted, X64CpuidTable.HasXsave(_cpuid)))
            return Errno.EINVAL;

        // CR8 has four bits; what is beyond them KVM ignores together with the rest of the value.
        if (wanted.cr8 > 0xf)
            wanted.cr8 = _cpu.Special.cr8;
        else if (_apic is not null)
            _apic.Cr8 = (byte)wanted.cr8;
        _cpu.Special = wanted;
        _cpu.Flush();
        if (flags != 0)
            MemoryMarshal.Cast<byte, ulong>(sregs[PdptrsOffset..])[..4].CopyTo(_pdptrs);
        if (!isSecond)
            TakeInterrupt(sregs[CommonSregsBytes..]);
        return 0;
    }

    // The first bit of the bitmap is the interrupt that was being delivered.
    private void TakeInterrupt(ReadOnlySpan<byte> bitmap)
    {
        for (var vector = 0; vector < 8 * bitmap.Length; vector++)
        {
            if ((bitmap[vector / 8] & (1 << (vector % 8))) != 0)
            {
                _events.Interrupt = (byte)vector;
                return;
            }
        }
    }

    // Reading takes a start-up that has been sent but not looked at, which moves the vCPU to the start-up's address.
    private int GetMpState(Span<byte> state)
    {
        if (_hasSipi && _mpState == InitReceived)
        {
            var vector = _events.SipiVector & 0xff;
            _cpu.Special.cs.selector = (ushort)(vector << 8);
            _cpu.Special.cs.@base = vector << 12;
            _cpu.Rip = 0;
            _mpState = Runnable;
        }

        _hasSipi = false;
        BinaryPrimitives.WriteUInt32LittleEndian(state, _mpState);
        return 0;
    }

    private int SetMpState(uint wanted)
    {
        var isKnown = wanted is Runnable or Uninitialized or InitReceived or Halted or SipiReceived or ResetHold;
        if (!isKnown || (_apic is null && wanted != Runnable))
            return Errno.EINVAL;
        _hasSipi = wanted == SipiReceived;
        _mpState = _hasSipi ? InitReceived : wanted;
        return 0;
    }

    private int SetXcrs(ReadOnlySpan<byte> xcrs)
    {
        var count = BinaryPrimitives.ReadUInt32LittleEndian(xcrs);
        if (count > MaxXcrs || BinaryPrimitives.ReadUInt32LittleEndian(xcrs[4..]) != 0)
            return Errno.EINVAL;
        for (var i = 0; i < (int)count; i++)
        {
            // Only XCR0 is there; entries about others are passed over.
            var entry = xcrs.Slice(8 + (16 * i), 16);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) != 0)
                continue;
            var value = BinaryPrimitives.ReadUInt64LittleEndian(entry[8..]);
            if (!IsValidXcr0(value))
                return Errno.EINVAL;
            _cpu.Xcr0 = value;
            return 0;
        }

        return 0;
    }

    private bool IsValidXcr0(ulong value)
    {
        const ulong fp = 1;
        const ulong sse = 2;
        const ulong avx = 4;
        const ulong avx512 = 0xe0;
        var supported = X64CpuidTable.SupportedXcr0(_cpuid) | fp;
        return (value & fp) != 0
            && (value & ~supported) == 0
            && ((value & avx) == 0 || (value & sse) != 0)
            && ((value & avx512) is 0 or avx512)
            && ((value & avx512) == 0 || (value & avx) != 0);
    }

    private int SetDebugregs(ReadOnlySpan<ulong> wanted)
    {
        var (dr6, dr7, flags) = (wanted[4], wanted[5], wanted[6]);
        if (flags != 0 || dr6 >> 32 != 0 || dr7 >> 32 != 0)
            return Errno.EINVAL;
        wanted[..6].CopyTo(_debug);
        return 0;
    }
}
