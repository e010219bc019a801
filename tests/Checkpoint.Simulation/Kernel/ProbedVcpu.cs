using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;

namespace Checkpoint.Simulation.Kernel;

/// <summary>A vCPU of the simulated kernel; the probe learns when it enters the guest.</summary>
internal sealed class ProbedVcpu(SimulatedVcpu inner, MachineProbe probe) : IVcpu
{
    public SimulatedVcpu Inner => inner;

    public int Index => inner.Index;

    public bool ImmediateExit
    {
        get => inner.ImmediateExit;
        set => inner.ImmediateExit = value;
    }

    public int CheckExtension(uint capability) => inner.CheckExtension(capability);

    public void Get(KvmRequest request, Span<byte> argument) => inner.Get(request, argument);

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument) => inner.Set(request, argument);

    public long Call(KvmRequest request, ulong argument) => inner.Call(request, argument);

    public int GetMsrs(Span<byte> msrs) => inner.GetMsrs(msrs);

    public int SetMsrs(ReadOnlySpan<byte> msrs) => inner.SetMsrs(msrs);

    public ReadOnlyMemory<byte> GetCpuid() => inner.GetCpuid();

    public void SetCpuid(ReadOnlySpan<byte> entries) => inner.SetCpuid(entries);

    public void GetOneReg(ulong id, Span<byte> value) => inner.GetOneReg(id, value);

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value) => inner.SetOneReg(id, value);

    public ulong[] GetRegList() => inner.GetRegList();

    public int GetManyRegs(RegisterBatch batch) => inner.GetManyRegs(batch);

    public int SetManyRegs(RegisterBatch batch) => inner.SetManyRegs(batch);

    public bool HasAttribute(uint group, ulong attribute) => inner.HasAttribute(group, attribute);

    public ulong GetAttribute(uint group, ulong attribute) => inner.GetAttribute(group, attribute);

    public void SetAttribute(uint group, ulong attribute, ulong value) => inner.SetAttribute(group, attribute, value);

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events) => inner.TryGetSyncRegs(regs, sregs, events);

    public void BindToCurrentThread() => inner.BindToCurrentThread();

    public void Unbind() => inner.Unbind();

    public void Kick() => inner.Kick();

    public VcpuExit Run()
    {
        probe.NoteRun(Index);
        return inner.Run();
    }

    public void Dispose() => inner.Dispose();
}
