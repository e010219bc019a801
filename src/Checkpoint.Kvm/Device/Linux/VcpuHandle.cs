using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>A vCPU fd and the pages that it shares with the kernel.</summary>
public sealed unsafe class VcpuHandle : IVcpu
{
    /// <summary>
    /// The signal of kicks: a real-time signal that neither the C library (32, 33) nor the .NET runtime (34) uses.
    /// </summary>
    public const int DefaultKickSignal = 39;

    // KVM_MAX_CPUID_ENTRIES of current kernels; older ones have fewer.
    private const int MaxCpuidEntries = 256;

    private readonly KvmFd _fd;
    private readonly KvmFd _vm;
    private readonly Mapping _run;
    private readonly int _xsaveBytes;
    private readonly VmFailure _failure;
    private readonly KickGate _kicks;
    private bool _wasInterrupted;

    internal VcpuHandle(KvmFd fd, KvmFd vm, Mapping run, VmFailure failure, int xsaveBytes, uint id, int index, int kickSignal)
    {
        fd.Hold(vm);
        _fd = fd;
        _vm = vm;
        _run = run;
        _xsaveBytes = xsaveBytes;
        _kicks = new KickGate(fd, index, kickSignal);
        _failure = failure;
        _failure.Add(_kicks);
        Id = id;
        Index = index;
    }

    /// <summary>The id that was given to KVM_CREATE_VCPU.</summary>
    public uint Id { get; }

    /// <inheritdoc/>
    public int Index { get; }

    /// <inheritdoc/>
    public bool ImmediateExit
    {
        get => Volatile.Read(ref RunPage()->immediate_exit) != 0;
        set => Volatile.Write(ref RunPage()->immediate_exit, value ? (byte)1 : (byte)0);
    }

    /// <inheritdoc/>
    public int CheckExtension(uint capability) => Ioctl.Value(_vm, KvmRequests.CheckExtension, capability);

    /// <inheritdoc/>
    public void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, _xsaveBytes);
        // The struct belongs to the caller and is pinned for the call; the kernel touches no more than was just checked for.
        fixed (byte* pointer = argument)
            Ioctl.Pointer(_fd, request, pointer, Index);
    }

    /// <inheritdoc/>
    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, _xsaveBytes);
        // The struct belongs to the caller and is pinned for the call; the kernel reads no more than was just checked for.
        fixed (byte* pointer = argument)
            Ioctl.Pointer(_fd, request, pointer, Index);

        // Without a local APIC in the kernel KVM_RUN takes CR8 from struct kvm_run, and undoes what was set here.
        if (request.Code == KvmRequests.SetSregs.Code || request.Code == KvmRequests.SetSregs2.Code)
            RunPage()->cr8 = MemoryMarshal.Read<kvm_sregs>(argument).cr8;
    }

    /// <inheritdoc/>
    public long Call(KvmRequest request, ulong argument)
    {
        StructArgument.CheckValue(request);
        return Ioctl.Value(_fd, request, argument, Index);
    }

    /// <inheritdoc/>
    public int GetMsrs(Span<byte> msrs) => MsrCall.Make(_fd, KvmRequests.GetMsrs, msrs, Index);

    /// <inheritdoc/>
    public int SetMsrs(ReadOnlySpan<byte> msrs) => MsrCall.Make(_fd, KvmRequests.SetMsrs, msrs, Index);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> GetCpuid() => CpuidCall.Get(_fd, KvmRequests.GetCpuid2, MaxCpuidEntries, Index);

    /// <inheritdoc/>
    public void SetCpuid(ReadOnlySpan<byte> entries) => CpuidCall.Set(_fd, KvmRequests.SetCpuid2, entries, Index);

    /// <inheritdoc/>
    public void GetOneReg(ulong id, Span<byte> value)
    {
        CheckRegisterSize(id, value.Length);
        // The value belongs to the caller and is pinned for the call; the kernel writes as many bytes as the id says.
        fixed (byte* pointer = value)
            MakeOneRegCall(KvmRequests.GetOneReg, id, pointer);
    }

    /// <inheritdoc/>
    public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
    {
        CheckRegisterSize(id, value.Length);
        // The value belongs to the caller and is pinned for the call; the kernel reads as many bytes as the id says.
        fixed (byte* pointer = value)
            MakeOneRegCall(KvmRequests.SetOneReg, id, pointer);
    }

    /// <inheritdoc/>
    public ulong[] GetRegList()
    {
        // First with room for none: the kernel answers E2BIG and leaves the count.
        kvm_reg_list header = default;
        var result = Ioctl.TryPointer(_fd, KvmRequests.GetRegList, &header);
        if (result < 0 && result != -Errno.E2BIG)
            KvmError.Throw(KvmRequests.GetRegList.Name, -result, Index);

        var list = new ulong[1 + header.n];
        list[0] = header.n;
        // The array is pinned for the call; the kernel writes at most the count it finds in the first word, which is its length.
        fixed (ulong* pointer = list)
            Ioctl.Pointer(_fd, KvmRequests.GetRegList, pointer, Index);
        return list[1..(int)(1 + list[0])];
    }

    /// <inheritdoc/>
    public int GetManyRegs(RegisterBatch batch) => MakeManyRegsCall(KvmRequests.GetManyRegs, batch);

    /// <inheritdoc/>
    public int SetManyRegs(RegisterBatch batch) => MakeManyRegsCall(KvmRequests.SetManyRegs, batch);

    /// <inheritdoc/>
    public bool HasAttribute(uint group, ulong attribute) => AttributeCall.Has(_fd, group, attribute);

    /// <inheritdoc/>
    public ulong GetAttribute(uint group, ulong attribute) => AttributeCall.Get(_fd, group, attribute, Index);

    /// <inheritdoc/>
    public void SetAttribute(uint group, ulong attribute, ulong value) => AttributeCall.Set(_fd, group, attribute, value, Index);

    /// <inheritdoc/>
    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        // A first KVM_RUN settles what CPUID may hold, and one with an unfinished exit would finish it. What an embedder has put into
        // kvm_dirty_regs is for its own next KVM_RUN, as is what it wants to hear of that one.
        var page = RunPage();
        if (!_wasInterrupted || page->kvm_dirty_regs != 0)
            return false;
        var (wanted, immediateExit) = (page->kvm_valid_regs, page->immediate_exit);
        page->kvm_valid_regs = SyncRegsCall.All;
        page->immediate_exit = 1;
        var result = Libc.ioctl(_fd, KvmRequests.Run.Code, (nuint)0);
        var errno = result < 0 ? Marshal.GetLastPInvokeError() : 0;
        page->kvm_valid_regs = wanted;
        Volatile.Write(ref page->immediate_exit, immediateExit);
        if (errno != Errno.EINTR)
            KvmError.Throw(KvmRequests.Run.Name, errno, Index);
        SyncRegsCall.Read(new ReadOnlySpan<byte>(page, sizeof(kvm_run)), regs, sregs, events);
        return true;
    }

    /// <inheritdoc/>
    public void BindToCurrentThread() => _kicks.Bind();

    /// <inheritdoc/>
    public void Unbind() => _kicks.Unbind();

    /// <inheritdoc/>
    public void Kick() => _kicks.Kick();

    /// <inheritdoc/>
    public VcpuExit Run()
    {
        _failure.ThrowIfFailed();
        var result = Libc.ioctl(_fd, KvmRequests.Run.Code, (nuint)0);
        _wasInterrupted = false;
        _failure.ThrowIfFailed();
        if (result >= 0)
            return VcpuExitDecoder.Decode(ref *RunPage(), _run.LengthBytes);
        // EAGAIN: a vCPU that waited for its INIT or SIPI was woken; the next entry goes on from there, as after EINTR.
        if (Marshal.GetLastPInvokeError() is not (Errno.EINTR or Errno.EAGAIN))
            KvmError.ThrowLast(KvmRequests.Run.Name, Index);
        _kicks.ConsumePending();
        _wasInterrupted = true;
        return new VcpuExit { Reason = VcpuExitReason.Interrupted };
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (_fd.IsClosed)
            return;
        _kicks.Unbind();
        _failure.Remove(_kicks);
        _run.Dispose();
        _fd.Dispose();
    }

    // The page belongs to the mapping, which lives until Dispose; the seam has one thread drive a vCPU and dispose of it.
    private kvm_run* RunPage()
    {
        ObjectDisposedException.ThrowIf(_run.IsClosed, this);
        return (kvm_run*)_run.Address;
    }

    private static void CheckRegisterSize(ulong id, int length)
    {
        if (length != RegisterBatch.SizeOf(id))
            throw new ArgumentException($"Register 0x{id:x16} has {RegisterBatch.SizeOf(id)} bytes; {length} were given.");
    }

    private void MakeOneRegCall(in KvmRequest request, ulong id, byte* value)
    {
        var argument = new kvm_one_reg { id = id, addr = (ulong)value };
        var result = Ioctl.TryPointer(_fd, request, &argument);
        if (result < 0)
            KvmError.Throw(request.Name, -result, Index, RegisterNames.Describe(id));
    }

    private int MakeManyRegsCall(in KvmRequest request, RegisterBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        int result;
        // The batch owns the argument and the values that it points to, all in memory that does not move, and is kept alive
        // over the call; the kernel reads the pairs, touches as many bytes of the values as the ids say, and may change the count.
        fixed (ulong* pointer = batch.Argument)
            result = Ioctl.TryPointer(_fd, request, pointer);
        batch.Settle();
        return result < 0 ? -result : 0;
    }
}
