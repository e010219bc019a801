using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>
/// An x86 machine whose vCPUs run a few bytes of code in long mode at CPL 3, which is what every backend of KVM runs well. Memory
/// is mapped to itself; from <see cref="MemoryBytes"/> on there is no slot behind the mapping.
/// </summary>
internal sealed class UserModeGuest : IDisposable
{
    internal const ulong CodeAddress = 0x1000;
    internal const ulong MemoryBytes = 0x20_0000;
    internal const ulong WithoutSlot = 0x30_0000;
    internal const ulong Unmapped = 0x80_0000;
    internal const int Rax = 0;
    internal const int Rbx = 1;
    internal const int Rdx = 3;
    internal const int Rdi = 5;
    internal const int Rip = 16;

    private const ulong TablesAddress = 0x2000;
    private const int TaskStateBytes = 0x400;

    internal UserModeGuest(IKvm kvm, InterruptChip chip, int vcpus, params byte[] code)
    {
        Vm = kvm.CreateVm();
        Memory = Vm.CreateMemory([new MemoryRegion(0, 0, 0, MemoryBytes)]);
        if (kvm.CheckExtension(KvmCapability.SetTssAddress) > 0)
            Vm.SetTssAddress(0xfffb_d000);
        if (chip == InterruptChip.Full)
            Vm.CreateIrqchip();
        Vcpus = [.. Enumerable.Range(0, vcpus).Select(i => Vm.CreateVcpu((uint)i, i))];
        foreach (var vcpu in Vcpus)
            vcpu.SetCpuid(X64Cpuid.ForVcpu(kvm.GetSupportedCpuid().Span, (uint)vcpu.Index));
        LoadMemory(code);
        foreach (var vcpu in Vcpus)
            Enter(vcpu);
    }

    internal IVm Vm { get; }

    internal IGuestMemory Memory { get; }

    internal IVcpu[] Vcpus { get; }

    internal IVcpu Vcpu => Vcpus[0];

    /// <summary>A general register by its place in struct kvm_regs.</summary>
    internal ulong this[int register]
    {
        get => BinaryPrimitives.ReadUInt64LittleEndian(Get(KvmRequests.GetRegs).AsSpan(8 * register));
        set
        {
            var regs = Get(KvmRequests.GetRegs);
            BinaryPrimitives.WriteUInt64LittleEndian(regs.AsSpan(8 * register), value);
            Vcpu.Set(KvmRequests.SetRegs, regs);
        }
    }

    public void Dispose()
    {
        foreach (var vcpu in Vcpus)
            vcpu.Dispose();
        Vm.Dispose();
        Memory.Dispose();
    }

    internal byte[] Get(KvmRequest request, int bytes = 0)
    {
        var argument = new byte[Math.Max(bytes, request.ArgumentSize)];
        Vcpu.Get(request, argument);
        return argument;
    }

    /// <summary>The error number of a KVM_SET_* with what KVM_GET_* gave, changed; 0 where it was taken.</summary>
    internal int TrySet(KvmRequest get, KvmRequest set, Action<byte[]> change)
    {
        var argument = Get(get, set.Code == KvmRequests.SetXsave.Code ? Math.Max(4096, Vcpu.CheckExtension(KvmCapability.Xsave2)) : 0);
        change(argument);
        return Refused.ErrnoOf(() => Vcpu.Set(set, argument));
    }

    private static kvm_segment Segment(ushort selector, byte type, byte isLong) => new()
    {
        limit = uint.MaxValue, selector = selector, type = type, present = 1, dpl = 3, s = 1, g = 1, l = isLong, db = (byte)(1 - isLong),
    };

    private void LoadMemory(byte[] code)
    {
        // A task state segment whose map of ports, from offset 0x68, allows all below 0x1000.
        Memory.Write(0x66, [0x68]);
        Memory.Write(CodeAddress, code);
        ulong[] tables = [(TablesAddress + 0x1000) | 0x27, (TablesAddress + 0x2000) | 0x27, 0xe7, 0x20_00e7];
        Memory.Write(TablesAddress, MemoryMarshal.AsBytes(tables.AsSpan(0, 1)));
        Memory.Write(TablesAddress + 0x1000, MemoryMarshal.AsBytes(tables.AsSpan(1, 1)));
        Memory.Write(TablesAddress + 0x2000, MemoryMarshal.AsBytes(tables.AsSpan(2, 2)));
    }

    private static void Enter(IVcpu vcpu)
    {
        vcpu.Set(KvmRequests.SetMpState, new byte[4]);
        var sregs = new byte[KvmRequests.GetSregs.ArgumentSize];
        vcpu.Get(KvmRequests.GetSregs, sregs);
        ref var special = ref MemoryMarshal.AsRef<kvm_sregs>(sregs.AsSpan());
        (special.cr0, special.cr3, special.cr4, special.efer) = (0x8005_0033, TablesAddress, 0x620, 0x500);
        special.cs = Segment(0x33, 11, isLong: 1);
        special.ss = special.ds = special.es = special.fs = special.gs = Segment(0x2b, 3, isLong: 0);
        special.tr = new kvm_segment { limit = TaskStateBytes - 1, selector = 0x40, type = 11, present = 1 };
        special.ldt = new kvm_segment { type = 2, unusable = 1 };
        (special.gdt.limit, special.idt.limit) = (0, 0);
        vcpu.Set(KvmRequests.SetSregs, sregs);
        var regs = new ulong[18];
        (regs[Rdx], regs[Rip], regs[17]) = (0xc30, CodeAddress, 2);
        vcpu.Set(KvmRequests.SetRegs, MemoryMarshal.AsBytes(regs.AsSpan()));
    }
}

/// <summary>What the kernel says no with.</summary>
internal static class Refused
{
    internal static int ErrnoOf(Action call)
    {
        try
        {
            call();
            return 0;
        }
        catch (KvmException refused)
        {
            return refused.Errno;
        }
    }
}
