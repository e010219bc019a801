using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Linux;

/// <summary>A machine of one vCPU in real mode whose code is a few bytes.</summary>
internal sealed class RealModeGuest : IDisposable
{
    internal const ulong CodeAddress = 0x1000;
    internal const int MemoryBytes = 0x10000;

    internal RealModeGuest(params byte[] code)
    {
        System = SystemHandle.Open();
        Vm = System.CreateVm();
        Memory = Vm.CreateMemory([new MemoryRegion(0, 0, 0, MemoryBytes)]);
        Vm.SetIdentityMapAddress(0xfffbc000);
        Vm.SetTssAddress(0xfffbd000);
        Vcpu = Vm.CreateVcpu(0, 0);
        Memory.Write(CodeAddress, code);
        StartAt(CodeAddress);
    }

    internal SystemHandle System { get; }

    internal VmHandle Vm { get; }

    internal LinuxGuestMemory Memory { get; }

    internal VcpuHandle Vcpu { get; }

    internal ulong Rax => BinaryPrimitives.ReadUInt64LittleEndian(Get(KvmRequests.GetRegs));

    public void Dispose()
    {
        Vcpu.Dispose();
        Vm.Dispose();
        Memory.Dispose();
        System.Dispose();
    }

    internal byte[] Get(KvmRequest request)
    {
        var bytes = new byte[request.ArgumentSize];
        Vcpu.Get(request, bytes);
        return bytes;
    }

    private void StartAt(ulong address)
    {
        // CS is the first segment: base at 0, selector at 12.
        var sregs = Get(KvmRequests.GetSregs);
        BinaryPrimitives.WriteUInt64LittleEndian(sregs, 0);
        BinaryPrimitives.WriteUInt16LittleEndian(sregs.AsSpan(12), 0);
        Vcpu.Set(KvmRequests.SetSregs, sregs);

        // RIP and RFLAGS are the last two of eighteen words; bit 1 of RFLAGS is always set.
        var regs = Get(KvmRequests.GetRegs);
        BinaryPrimitives.WriteUInt64LittleEndian(regs.AsSpan(128), address);
        BinaryPrimitives.WriteUInt64LittleEndian(regs.AsSpan(136), 2);
        Vcpu.Set(KvmRequests.SetRegs, regs);
    }
}
