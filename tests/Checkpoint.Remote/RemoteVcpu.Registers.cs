using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Remote;

internal sealed partial class RemoteVcpu
{
    private const int MaxListed = 4096;
    private const int OneRegBytes = 16;

    public int CheckExtension(uint capability)
    {
        ThrowIfDisposed();
        return _vm.Capability(capability);
    }

    public void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, _xsaveBytes);
        ThrowIfDisposed();
        _lane.Call(_fd, request, argument, argument, Index);
    }

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, _xsaveBytes);
        ThrowIfDisposed();
        _lane.Call(_fd, request, argument.ToArray(), [], Index);
        if (request.Code != KvmRequests.SetSregs.Code && request.Code != KvmRequests.SetSregs2.Code)
            return;
        // Without a local APIC in the kernel KVM_RUN takes CR8 from struct kvm_run, and undoes what was set here.
        var put = new AgentRequest();
        Span<byte> cr8 = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(cr8, MemoryMarshal.Read<kvm_sregs>(argument).cr8);
        put.Put(_runAddress + Cr8Offset, cr8);
        _lane.Exchange(put);
    }

    public long Call(KvmRequest request, ulong argument)
    {
        StructArgument.CheckValue(request);
        ThrowIfDisposed();
        return _lane.Call(_fd, request, argument, Index);
    }

    public int GetMsrs(Span<byte> msrs)
    {
        CheckMsrs(msrs);
        return (int)_lane.Call(_fd, KvmRequests.GetMsrs, msrs, msrs, Index);
    }

    public int SetMsrs(ReadOnlySpan<byte> msrs)
    {
        CheckMsrs(msrs);
        return (int)_lane.Call(_fd, KvmRequests.SetMsrs, msrs.ToArray(), [], Index);
    }

    public ReadOnlyMemory<byte> GetCpuid()
    {
        ThrowIfDisposed();
        return RemoteKvm.GetCpuid(_lane, _fd, KvmRequests.GetCpuid2, Index);
    }

    public void SetCpuid(ReadOnlySpan<byte> entries)
    {
        ThrowIfDisposed();
        var entryBytes = Unsafe.SizeOf<kvm_cpuid_entry2>();
        if (entries.Length % entryBytes != 0)
            throw new ArgumentException($"CPUID entries have {entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        var buffer = new byte[Unsafe.SizeOf<kvm_cpuid2>() + entries.Length];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, entries.Length / entryBytes);
        entries.CopyTo(buffer.AsSpan(Unsafe.SizeOf<kvm_cpuid2>()));
        _lane.Call(_fd, KvmRequests.SetCpuid2, buffer, [], Index);
    }

    public void GetOneReg(ulong id, Span<byte> value) => MoveOneReg(KvmRequests.GetOneReg, id, value, value);

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value) => MoveOneReg(KvmRequests.SetOneReg, id, value, []);

    public ulong[] GetRegList()
    {
        ThrowIfDisposed();
        // Room for more than any vCPU lists: E2BIG would say so.
        var list = new ulong[1 + MaxListed];
        list[0] = MaxListed;
        var bytes = MemoryMarshal.AsBytes(list.AsSpan());
        _lane.Call(_fd, KvmRequests.GetRegList, bytes, bytes, Index);
        return list[1..(int)(1 + list[0])];
    }

    public int GetManyRegs(RegisterBatch batch)
    {
        ThrowIfDisposed();
        var (argument, valuesAt) = Compose(batch, withValues: false);
        return Settle(batch, _lane.TryCall(_fd, KvmRequests.GetManyRegs, argument, batch.Values, valuesAt, PointToValues));
    }

    public int SetManyRegs(RegisterBatch batch)
    {
        ThrowIfDisposed();
        var (argument, _) = Compose(batch, withValues: true);
        return Settle(batch, _lane.TryCall(_fd, KvmRequests.SetManyRegs, argument, [], 0, PointToValues));
    }

    public bool HasAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        return RemoteAttribute.Has(_lane, _fd, group, attribute);
    }

    public ulong GetAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        return RemoteAttribute.Get(_lane, _fd, group, attribute, Index);
    }

    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        ThrowIfDisposed();
        RemoteAttribute.Set(_lane, _fd, group, attribute, value, Index);
    }

    // A kernel that was told to (KVM_CAP_MANY_REGS) leaves in the count how many registers it did before it failed.
    private int Settle(RegisterBatch batch, long result)
    {
        batch.Done = null;
        if (result >= 0)
            return 0;
        var done = BinaryPrimitives.ReadUInt64LittleEndian(_lane.Left(sizeof(ulong)));
        if (done < (ulong)batch.Count)
            batch.Done = (int)done;
        return (int)-result;
    }

    // struct kvm_many_regs, then the values without gaps, or room for them.
    private static (byte[] Argument, int ValuesAt) Compose(RegisterBatch batch, bool withValues)
    {
        var valuesAt = sizeof(ulong) + (OneRegBytes * batch.Count);
        var argument = new byte[valuesAt + (withValues ? batch.Values.Length : 0)];
        BinaryPrimitives.WriteUInt64LittleEndian(argument, (ulong)batch.Count);
        for (var i = 0; i < batch.Count; i++)
            BinaryPrimitives.WriteUInt64LittleEndian(argument.AsSpan(sizeof(ulong) + (OneRegBytes * i)), batch.Ids[i]);
        if (withValues)
            batch.Values.CopyTo(argument.AsSpan(valuesAt));
        return (argument, valuesAt);
    }

    private static void PointToValues(Span<byte> argument, ulong address)
    {
        var count = (int)BinaryPrimitives.ReadUInt64LittleEndian(argument);
        var at = address + sizeof(ulong) + (ulong)(OneRegBytes * count);
        for (var i = 0; i < count; i++)
        {
            var pair = argument[(sizeof(ulong) + (OneRegBytes * i))..];
            BinaryPrimitives.WriteUInt64LittleEndian(pair[sizeof(ulong)..], at);
            at += (ulong)RegisterBatch.SizeOf(BinaryPrimitives.ReadUInt64LittleEndian(pair));
        }
    }

    private static void PointBehind(Span<byte> argument, ulong address) =>
        BinaryPrimitives.WriteUInt64LittleEndian(argument[sizeof(ulong)..], address + OneRegBytes);

    private void MoveOneReg(in KvmRequest request, ulong id, ReadOnlySpan<byte> value, Span<byte> fetch)
    {
        if (value.Length != RegisterBatch.SizeOf(id))
            throw new ArgumentException($"Register 0x{id:x16} has {RegisterBatch.SizeOf(id)} bytes; {value.Length} were given.");
        ThrowIfDisposed();
        var argument = new byte[OneRegBytes + value.Length];
        BinaryPrimitives.WriteUInt64LittleEndian(argument, id);
        value.CopyTo(argument.AsSpan(OneRegBytes));
        var result = _lane.TryCall(_fd, request, argument, fetch, OneRegBytes, PointBehind);
        if (result < 0)
            throw new KvmException(request.Name, (int)-result, Index, RegisterNames.Describe(id));
    }

    private void CheckMsrs(ReadOnlySpan<byte> msrs)
    {
        ThrowIfDisposed();
        var header = Unsafe.SizeOf<kvm_msrs>();
        if (msrs.Length < header || BinaryPrimitives.ReadUInt32LittleEndian(msrs) > (msrs.Length - header) / Unsafe.SizeOf<kvm_msr_entry>())
            throw new ArgumentException("struct kvm_msrs is shorter than its count says.", nameof(msrs));
    }
}
