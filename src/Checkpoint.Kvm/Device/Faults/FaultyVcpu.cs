using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>A vCPU some of whose calls go wrong.</summary>
internal sealed class FaultyVcpu(IVcpu inner, FaultyVm vm, FaultGate gate) : IVcpu
{
    private readonly Lock _hangs = new();

    // The faults by which a kick is underway.
    private readonly HashSet<FaultRule> _late = [];
    private readonly CancellationTokenSource _over = new();
    private CancellationTokenSource? _hang;
    private bool _isOver;
    private volatile bool _isKicked;

    public int Index => inner.Index;

    public bool ImmediateExit
    {
        get => inner.ImmediateExit;
        set => inner.ImmediateExit = value;
    }

    public int CheckExtension(uint capability)
    {
        gate.Pass(KvmRequests.CheckExtension.Name);
        return inner.CheckExtension(capability);
    }

    public void Get(KvmRequest request, Span<byte> argument)
    {
        gate.Pass(request.Name);
        inner.Get(request, argument);
    }

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        gate.Pass(request.Name);
        inner.Set(request, argument);
    }

    public long Call(KvmRequest request, ulong argument)
    {
        gate.Pass(request.Name);
        return inner.Call(request, argument);
    }

    public int GetMsrs(Span<byte> msrs) =>
        Partway(KvmRequests.GetMsrs, BinaryPrimitives.ReadInt32LittleEndian(msrs)) is not { } fault
            ? inner.GetMsrs(msrs)
            : GetSome(msrs, fault.Done);

    public int SetMsrs(ReadOnlySpan<byte> msrs) =>
        Partway(KvmRequests.SetMsrs, BinaryPrimitives.ReadInt32LittleEndian(msrs)) is not { } fault
            ? inner.SetMsrs(msrs)
            : fault.Done == 0 ? 0 : inner.SetMsrs(FirstOf(msrs, fault.Done));

    public ReadOnlyMemory<byte> GetCpuid()
    {
        gate.Pass(KvmRequests.GetCpuid2.Name);
        return inner.GetCpuid();
    }

    public void SetCpuid(ReadOnlySpan<byte> entries)
    {
        gate.Pass(KvmRequests.SetCpuid2.Name);
        inner.SetCpuid(entries);
    }

    public void GetOneReg(ulong id, Span<byte> value)
    {
        gate.Pass(KvmRequests.GetOneReg.Name);
        inner.GetOneReg(id, value);
    }

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
    {
        gate.Pass(KvmRequests.SetOneReg.Name);
        inner.SetOneReg(id, value);
    }

    public ulong[] GetRegList()
    {
        gate.Pass(KvmRequests.GetRegList.Name);
        return inner.GetRegList();
    }

    public int GetManyRegs(RegisterBatch batch) => ManyRegs(KvmRequests.GetManyRegs, batch, inner.GetManyRegs);

    public int SetManyRegs(RegisterBatch batch) => ManyRegs(KvmRequests.SetManyRegs, batch, inner.SetManyRegs);

    public bool HasAttribute(uint group, ulong attribute)
    {
        gate.Pass(KvmRequests.HasDeviceAttr.Name);
        return inner.HasAttribute(group, attribute);
    }

    public ulong GetAttribute(uint group, ulong attribute)
    {
        gate.Pass(KvmRequests.GetDeviceAttr.Name);
        return inner.GetAttribute(group, attribute);
    }

    public void SetAttribute(uint group, ulong attribute, ulong value)
    {
        gate.Pass(KvmRequests.SetDeviceAttr.Name);
        inner.SetAttribute(group, attribute, value);
    }

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        gate.Pass(FaultCalls.SyncRegs);
        return inner.TryGetSyncRegs(regs, sregs, events);
    }

    public void BindToCurrentThread()
    {
        gate.Pass(KvmRequests.SetSignalMask.Name);
        inner.BindToCurrentThread();
    }

    public void Unbind() => inner.Unbind();

    public VcpuExit Run()
    {
        FaultHit? hit = null;
        var isInterrupted = false;
        try
        {
            hit = gate.PassOrWait(KvmRequests.Run.Name);
        }
        catch (KvmException failure) when (failure.Errno is Errno.EINTR or Errno.EAGAIN)
        {
            // Results of KVM_RUN, not errors.
            isInterrupted = true;
        }

        if (hit?.Action is FaultAction.Delay or FaultAction.Hang)
            WaitForKick(hit);
        if (hit?.Action is FaultAction.Exit exit)
        {
            return new VcpuExit
            {
                Reason = exit.Reason == FaultExit.TripleFault ? VcpuExitReason.Shutdown : VcpuExitReason.InternalError,
                Detail = exit.Detail,
            };
        }

        var result = isInterrupted ? RunWithoutEntering() : inner.Run();
        if (result.Reason == VcpuExitReason.Interrupted && _isKicked)
        {
            _isKicked = false;
            gate.Pass(FaultCalls.VcpuPark);
        }

        return result;
    }

    // The kernel finishes what the last exit left half done before it looks at anything that interrupts: who hears of EINTR
    // takes the data of an IN for delivered. A call that was not made at all would lose it.
    private VcpuExit RunWithoutEntering()
    {
        var before = inner.ImmediateExit;
        inner.ImmediateExit = true;
        try
        {
            return inner.Run();
        }
        finally
        {
            inner.ImmediateExit = before;
        }
    }

    public void Kick()
    {
        FaultHit? hit;
        try
        {
            hit = gate.PassOrWait(FaultCalls.Kick);
        }
        catch (KvmException)
        {
            NoteKick();
            throw;
        }

        // A signal that is underway for long keeps the vCPU from hearing of it, and nobody from kicking others.
        if (hit?.Action is FaultAction.Delay or FaultAction.Hang)
        {
            KickLate(hit);
            return;
        }

        NoteKick();
        inner.Kick();
    }

    public void Dispose()
    {
        lock (_hangs)
            _isOver = true;
        _over.Cancel();
        inner.Dispose();
    }

    // Somebody who is kicked once was kicked, however often: one that is underway by the same fault is there before this one would be, and
    // stands for both. So no more kicks are underway than there are faults, for how long they ever hang.
    private void KickLate(FaultHit hit)
    {
        lock (_hangs)
        {
            if (!_late.Add(hit.Rule))
                return;
        }

        gate.Faults.WaitAside(hit, () => Arrive(hit.Rule), _over.Token);
    }

    private void Arrive(FaultRule late)
    {
        lock (_hangs)
        {
            _late.Remove(late);
            if (_isOver)
                return;
            try
            {
                NoteKick();
                inner.Kick();
            }
            catch (KvmException)
            {
                // Nobody waits for an answer any more; the vCPU was not kicked, which is what the fault is about.
            }
        }
    }

    private void NoteKick()
    {
        _isKicked = true;
        // Under the lock, so that nobody disposes of it meanwhile.
        lock (_hangs)
            _hang?.Cancel();
    }

    // A kick that has come before must not find the vCPU hanging: KVM_RUN would end at once.
    private void WaitForKick(FaultHit hit)
    {
        using var hang = new CancellationTokenSource();
        lock (_hangs)
            _hang = hang;
        if (!_isKicked)
            gate.Faults.Wait(hit, hang.Token);
        lock (_hangs)
            _hang = null;
    }

    // How many registers to do before it fails, and with what; null: do all.
    private (int Done, int Errno)? Partway(in KvmRequest request, int count) =>
        gate.Pass(request.Name)?.Action is FaultAction.Fail { AfterRegisters: { } wanted } fail
            ? (Math.Clamp(wanted, 0, Math.Max(0, count - 1)), fail.Errno)
            : null;

    private int GetSome(Span<byte> msrs, int count)
    {
        if (count == 0)
            return 0;
        var some = FirstOf(msrs, count);
        var done = inner.GetMsrs(some);
        some.AsSpan(Unsafe.SizeOf<kvm_msrs>()).CopyTo(msrs[Unsafe.SizeOf<kvm_msrs>()..]);
        return done;
    }

    private static byte[] FirstOf(ReadOnlySpan<byte> msrs, int count)
    {
        var some = msrs[..(Unsafe.SizeOf<kvm_msrs>() + (count * Unsafe.SizeOf<kvm_msr_entry>()))].ToArray();
        BinaryPrimitives.WriteInt32LittleEndian(some, count);
        return some;
    }

    private int ManyRegs(in KvmRequest request, RegisterBatch batch, Func<RegisterBatch, int> call)
    {
        (int Done, int Errno)? fault;
        try
        {
            fault = Partway(request, batch.Count);
        }
        catch (KvmException failure)
        {
            // This call returns its error number.
            batch.Done = vm.CountsRegisters ? 0 : null;
            return failure.Errno;
        }

        if (fault is not { } partway)
            return call(batch);
        if (partway.Done > 0)
        {
            var some = batch.Slice(0, partway.Done);
            var errno = call(some);
            if (errno != 0)
            {
                batch.Done = some.Done;
                return errno;
            }
        }

        batch.Done = vm.CountsRegisters ? partway.Done : null;
        return partway.Errno;
    }
}
