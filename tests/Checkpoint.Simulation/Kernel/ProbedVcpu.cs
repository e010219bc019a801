using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Simulation.Faults;

namespace Checkpoint.Simulation.Kernel;

/// <summary>A vCPU of the simulated kernel, with what goes wrong there.</summary>
internal sealed class ProbedVcpu(SimulatedVcpu inner, MachineProbe probe) : IVcpu
{
    private const int MsrsHeaderBytes = 8;

    public SimulatedVcpu Inner => inner;

    public int Index => inner.Index;

    public bool ImmediateExit
    {
        get => inner.ImmediateExit;
        set => inner.ImmediateExit = value;
    }

    public int CheckExtension(uint capability) => inner.CheckExtension(capability);

    public void Get(KvmRequest request, Span<byte> argument)
    {
        FailCapture(request);
        inner.Get(request, argument);
    }

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        FailSet(request);
        inner.Set(request, argument);
    }

    public long Call(KvmRequest request, ulong argument) => inner.Call(request, argument);

    public int GetMsrs(Span<byte> msrs)
    {
        FailCapture(KvmRequests.GetMsrs);
        return inner.GetMsrs(msrs);
    }

    public int SetMsrs(ReadOnlySpan<byte> msrs)
    {
        FailSet(KvmRequests.SetMsrs);
        var count = BinaryPrimitives.ReadInt32LittleEndian(msrs);
        if (!probe.IsBeingRestored || count < 2 || !probe.Strikes(FaultKind.PartialSet))
            return inner.SetMsrs(msrs);

        // Those before the refused one are changed, and their number is returned.
        var part = msrs.ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(part, count / 2);
        return inner.SetMsrs(part);
    }

    public ReadOnlyMemory<byte> GetCpuid() => inner.GetCpuid();

    public void SetCpuid(ReadOnlySpan<byte> entries) => inner.SetCpuid(entries);

    public void GetOneReg(ulong id, Span<byte> value)
    {
        FailCapture(KvmRequests.GetOneReg);
        inner.GetOneReg(id, value);
    }

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
    {
        FailSet(KvmRequests.SetOneReg);
        inner.SetOneReg(id, value);
    }

    public ulong[] GetRegList() => inner.GetRegList();

    public int GetManyRegs(RegisterBatch batch)
    {
        FailCapture(KvmRequests.GetManyRegs);
        return inner.GetManyRegs(batch);
    }

    public int SetManyRegs(RegisterBatch batch)
    {
        FailSet(KvmRequests.SetManyRegs);
        if (!probe.IsBeingRestored || batch.Count < 2 || !probe.Strikes(FaultKind.PartialSet))
            return inner.SetManyRegs(batch);
        inner.SetManyRegs(batch.Slice(0, batch.Count / 2));
        return Errno.EINVAL;
    }

    public bool HasAttribute(uint group, ulong attribute) => inner.HasAttribute(group, attribute);

    public ulong GetAttribute(uint group, ulong attribute) => inner.GetAttribute(group, attribute);

    public void SetAttribute(uint group, ulong attribute, ulong value) => inner.SetAttribute(group, attribute, value);

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        FailCapture(KvmRequests.Run);
        return inner.TryGetSyncRegs(regs, sregs, events);
    }

    public void BindToCurrentThread() => inner.BindToCurrentThread();

    public void Unbind() => inner.Unbind();

    public void Kick() => inner.Kick();

    public VcpuExit Run()
    {
        if (probe.Strikes(FaultKind.RunFails))
        {
            probe.Break(Index);
            throw new KvmException(KvmRequests.Run.Name, Errno.EIO, Index);
        }

        var isTripleFault = probe.Strikes(FaultKind.TripleFault);
        if (isTripleFault || probe.Strikes(FaultKind.InternalError))
        {
            probe.Break(Index);
            return new VcpuExit { Reason = isTripleFault ? VcpuExitReason.Shutdown : VcpuExitReason.InternalError, Detail = 1 };
        }

        probe.NoteRun(Index);
        return inner.Run();
    }

    public void Dispose() => inner.Dispose();

    private void FailCapture(in KvmRequest request)
    {
        if (!probe.IsBeingRestored)
            probe.FailIf(FaultKind.VcpuCaptureFails, request, Errno.EIO, Index);
    }

    private void FailSet(in KvmRequest request)
    {
        if (probe.IsBeingRestored)
            probe.FailIf(FaultKind.SetFails, request, Errno.EINVAL, Index);
    }
}
