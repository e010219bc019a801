using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>A simulated vCPU: what is the same on all architectures. How a KVM_RUN goes is in the other half of this class.</summary>
public abstract partial class SimulatedVcpu : IVcpu
{
    private bool _isDisposed;
    private bool _wasInterrupted;

    private protected SimulatedVcpu(SimulatedVm vm, uint id, int index)
    {
        Vm = vm;
        Id = id;
        Index = index;
        _random = Mix(vm.Kvm.Options.Seed + ((ulong)index * 0x9e37_79b9_7f4a_7c15));
    }

    /// <summary>Where the bytes of a register lie in the caller's memory; none for an address without memory behind it.</summary>
    /// <param name="index">The register's place in the list.</param>
    internal delegate Span<byte> PlaceOfValue(int index);

    /// <summary>The id that was given to KVM_CREATE_VCPU.</summary>
    public uint Id { get; }

    /// <inheritdoc/>
    public int Index { get; }

    /// <summary>How many instructions the guest has executed here.</summary>
    public ulong ExecutedInstructions => Volatile.Read(ref _executed);

    private protected SimulatedVm Vm { get; }

    private protected SimulatedKvmOptions Options => Vm.Kvm.Options;

    /// <summary>What a call on an unknown register answers: ENOENT on arm64, EINVAL on x86.</summary>
    private protected abstract int NoSuchRegister { get; }

    /// <summary>Whether the kernel has the ONE_REG calls.</summary>
    private protected abstract bool HasOneReg { get; }

    private protected virtual int XsaveBytes => 0;

    /// <inheritdoc/>
    public int CheckExtension(uint capability)
    {
        ThrowIfDisposed();
        return Vm.Kvm.CheckExtension(capability);
    }

    /// <inheritdoc/>
    public void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, XsaveBytes);
        ThrowIfDisposed();
        Check(request, ReadStruct(request, argument));
    }

    /// <inheritdoc/>
    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVcpu(request, argument, XsaveBytes);
        ThrowIfDisposed();
        Check(request, WriteStruct(request, argument));
    }

    /// <inheritdoc/>
    public long Call(KvmRequest request, ulong argument)
    {
        StructArgument.CheckValue(request);
        ThrowIfDisposed();
        var result = CallWithNumber(request, argument);
        Check(request, result < 0 ? (int)-result : 0);
        return result;
    }

    /// <inheritdoc/>
    public virtual int GetMsrs(Span<byte> msrs) => Refuse(KvmRequests.GetMsrs);

    /// <inheritdoc/>
    public virtual int SetMsrs(ReadOnlySpan<byte> msrs) => Refuse(KvmRequests.SetMsrs);

    /// <inheritdoc/>
    public virtual ReadOnlyMemory<byte> GetCpuid()
    {
        Refuse(KvmRequests.GetCpuid2);
        return default;
    }

    /// <inheritdoc/>
    public virtual void SetCpuid(ReadOnlySpan<byte> entries) => Refuse(KvmRequests.SetCpuid2);

    /// <inheritdoc/>
    public void GetOneReg(ulong id, Span<byte> value)
    {
        CheckRegisterSize(id, value.Length);
        ThrowIfDisposed();
        CheckOne(KvmRequests.GetOneReg, id, HasOneReg ? GetRegister(id, value) : Errno.EINVAL);
    }

    /// <inheritdoc/>
    public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
    {
        CheckRegisterSize(id, value.Length);
        ThrowIfDisposed();
        CheckOne(KvmRequests.SetOneReg, id, HasOneReg ? SetRegister(id, value) : Errno.EINVAL);
    }

    /// <inheritdoc/>
    /// <remarks>The kernel's protocol, E2BIG with the count and a second call with room for it, is behind this one call.</remarks>
    public ulong[] GetRegList()
    {
        ThrowIfDisposed();
        Check(KvmRequests.GetRegList, HasOneReg ? BeforeRegisters() : Errno.EINVAL);
        Check(KvmRequests.GetRegList, BeforeList());
        return [.. ListRegisters().Where(id => RuleOf(id)?.Behaviour != SimulatedRegisterBehaviour.Missing)];
    }

    /// <inheritdoc/>
    public int GetManyRegs(RegisterBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return MoveManyRegs(batch, isWrite: false);
    }

    /// <inheritdoc/>
    public int SetManyRegs(RegisterBatch batch)
    {
        ArgumentNullException.ThrowIfNull(batch);
        return MoveManyRegs(batch, isWrite: true);
    }

    /// <inheritdoc/>
    public bool HasAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        ulong value = 0;
        return MoveAttribute(group, attribute, ref value, isWrite: false) == 0;
    }

    /// <inheritdoc/>
    public ulong GetAttribute(uint group, ulong attribute)
    {
        ThrowIfDisposed();
        ulong value = 0;
        Check(KvmRequests.GetDeviceAttr, MoveAttribute(group, attribute, ref value, isWrite: false));
        return value;
    }

    /// <inheritdoc/>
    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        ThrowIfDisposed();
        Check(KvmRequests.SetDeviceAttr, MoveAttribute(group, attribute, ref value, isWrite: true));
    }

    /// <inheritdoc/>
    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        ThrowIfDisposed();
        return _wasInterrupted && ReadSyncRegs(regs, sregs, events);
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Unbind();
        _isDisposed = true;
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// KVM_GET_MANY_REGS and KVM_SET_MANY_REGS: the registers in array order, a duplicate as often as it appears, until the
    /// first error, which is the one of the register's own call.
    /// </summary>
    internal int MoveManyRegs(ReadOnlySpan<ulong> ids, PlaceOfValue placeOf, bool isWrite) => MoveManyRegs(ids, placeOf, isWrite, out _);

    private int MoveManyRegs(RegisterBatch batch, bool isWrite)
    {
        var errno = MoveManyRegs(batch.Ids, batch.ValueOf, isWrite, out var done);
        batch.Done = Vm.CountsManyRegs && errno != 0 ? done : null;
        return errno;
    }

    private int MoveManyRegs(ReadOnlySpan<ulong> ids, PlaceOfValue placeOf, bool isWrite, out int? done)
    {
        done = null;
        ThrowIfDisposed();
        if (Options.ManyRegs == SimulatedManyRegs.Absent)
            return Errno.EINVAL;
        var errno = BeforeRegisters();
        if (errno != 0)
            return errno;
        if (ids.Length > RegisterBatch.MaxRegisters)
            return Errno.E2BIG;
        // The proposed text copied no array, took the null pointer for a failed allocation and said so.
        if (ids.IsEmpty)
            return Options.ManyRegs == SimulatedManyRegs.AsProposed ? Errno.ENOMEM : 0;
        for (var i = 0; i < ids.Length; i++)
        {
            done = i;
            var value = placeOf(i);
            if (value.IsEmpty)
                return Errno.EFAULT;
            errno = isWrite ? SetRegister(ids[i], value) : GetRegister(ids[i], value);
            if (errno != 0)
                return errno;
        }

        return 0;
    }

    /// <summary>KVM_GET_ONE_REG, whatever call brought it here.</summary>
    private protected int GetRegister(ulong id, Span<byte> value)
    {
        var rule = RuleOf(id);
        if (rule?.Behaviour == SimulatedRegisterBehaviour.Missing)
            return NoSuchRegister;
        if (rule?.Behaviour == SimulatedRegisterBehaviour.Unreadable)
            return rule.Errno;
        var errno = ReadRegister(id, value);
        if (errno == 0 && rule is { Behaviour: SimulatedRegisterBehaviour.ReadsAs } && rule.Value.Length == value.Length)
            rule.Value.Span.CopyTo(value);
        return errno;
    }

    /// <summary>KVM_SET_ONE_REG, whatever call brought it here.</summary>
    private protected int SetRegister(ulong id, ReadOnlySpan<byte> value)
    {
        var rule = RuleOf(id);
        if (rule is null)
            return WriteRegister(id, value);
        if (rule.Behaviour == SimulatedRegisterBehaviour.Missing)
            return NoSuchRegister;
        if (rule.RefusesValue(value))
            return rule.Errno;
        if (rule.Behaviour != SimulatedRegisterBehaviour.ReadOnly)
            return WriteRegister(id, value);
        Span<byte> held = stackalloc byte[value.Length];
        var errno = ReadRegister(id, held);
        return errno == 0 && !held.SequenceEqual(value) ? rule.Errno : errno;
    }

    /// <summary>The error number of calls on registers that come too early.</summary>
    private protected virtual int BeforeRegisters() => 0;

    /// <summary>The error number of a list that comes too early.</summary>
    private protected virtual int BeforeList() => 0;

    /// <summary>KVM_GET_DEVICE_ATTR and KVM_SET_DEVICE_ATTR on the vCPU.</summary>
    private protected virtual int MoveAttribute(uint group, ulong attribute, ref ulong value, bool isWrite) => Errno.ENXIO;

    /// <summary>What struct kvm_run carries after a KVM_RUN that did not enter the guest; false without KVM_CAP_SYNC_REGS.</summary>
    private protected virtual bool ReadSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events) => false;

    private protected abstract int ReadStruct(in KvmRequest request, Span<byte> argument);

    private protected abstract int WriteStruct(in KvmRequest request, ReadOnlySpan<byte> argument);

    private protected virtual long CallWithNumber(in KvmRequest request, ulong argument) => -Errno.EINVAL;

    private protected abstract int ReadRegister(ulong id, Span<byte> value);

    private protected abstract int WriteRegister(ulong id, ReadOnlySpan<byte> value);

    private protected abstract IEnumerable<ulong> ListRegisters();

    private protected void Check(in KvmRequest request, int errno)
    {
        if (errno != 0)
            SimulatedKvm.Throw(request, errno, Index);
    }

    private protected void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);

    private static void CheckRegisterSize(ulong id, int length)
    {
        if (length != RegisterBatch.SizeOf(id))
            throw new ArgumentException($"Register 0x{id:x16} has {RegisterBatch.SizeOf(id)} bytes; {length} were given.");
    }

    // A vCPU ioctl that the architecture does not know is EINVAL; only on VMs and the system is it ENOTTY.
    private int Refuse(in KvmRequest request)
    {
        ThrowIfDisposed();
        Check(request, Errno.EINVAL);
        return 0;
    }

    private void CheckOne(in KvmRequest request, ulong id, int errno)
    {
        if (errno != 0)
            SimulatedKvm.Throw(request, errno, Index, RegisterNames.Describe(id));
    }

    private SimulatedRegisterRule? RuleOf(ulong id) => Vm.Kvm.RuleOf(id, Index);
}
