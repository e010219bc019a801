using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Tests.Running;

/// <summary>The part of a vCPU that a runner must not touch: everything but running, kicking and binding.</summary>
internal abstract class UnusedVcpu : IVcpu
{
    public int Index => 0;

    public abstract bool ImmediateExit { get; set; }

    public abstract void BindToCurrentThread();

    public abstract void Unbind();

    public abstract VcpuExit Run();

    public abstract void Kick();

    public int CheckExtension(uint capability) => throw new NotSupportedException();

    public void Get(KvmRequest request, Span<byte> argument) => throw new NotSupportedException();

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument) => throw new NotSupportedException();

    public long Call(KvmRequest request, ulong argument) => throw new NotSupportedException();

    public int GetMsrs(Span<byte> msrs) => throw new NotSupportedException();

    public int SetMsrs(ReadOnlySpan<byte> msrs) => throw new NotSupportedException();

    public ReadOnlyMemory<byte> GetCpuid() => throw new NotSupportedException();

    public void SetCpuid(ReadOnlySpan<byte> entries) => throw new NotSupportedException();

    public void GetOneReg(ulong id, Span<byte> value) => throw new NotSupportedException();

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value) => throw new NotSupportedException();

    public ulong[] GetRegList() => throw new NotSupportedException();

    public int GetManyRegs(RegisterBatch batch) => throw new NotSupportedException();

    public int SetManyRegs(RegisterBatch batch) => throw new NotSupportedException();

    public bool HasAttribute(uint group, ulong attribute) => throw new NotSupportedException();

    public ulong GetAttribute(uint group, ulong attribute) => throw new NotSupportedException();

    public void SetAttribute(uint group, ulong attribute, ulong value) => throw new NotSupportedException();

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events) => throw new NotSupportedException();

    public void Dispose() => throw new NotSupportedException();
}
