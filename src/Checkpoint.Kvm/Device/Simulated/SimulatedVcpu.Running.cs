using System.Diagnostics;

namespace Checkpoint.Kvm.Device.Simulated;

public abstract partial class SimulatedVcpu
{
    // Between two looks for a kick: about ten microseconds of this interpreter.
    private const int InstructionsBetweenLooks = 512;
    private const int ExitDataBytes = 8;

    // As a signal can stand for one vCPU only, a thread is bound to one at a time.
    [ThreadStatic]
    private static SimulatedVcpu? t_bound;

    private readonly object _gate = new();
    private readonly byte[] _exitData = new byte[ExitDataBytes];
    private volatile Thread? _thread;
    private volatile bool _isAsleep;
    private volatile bool _immediateExit;
    private int _kick;
    private ulong _executed;
    private ulong _random;
    private PendingAccess _pending;

    /// <summary>Why the interpreter gave control back.</summary>
    private protected enum Stop
    {
        /// <summary>It has executed as many instructions as it was asked to.</summary>
        Spent,

        /// <summary>The guest read or wrote a port; the access is in <see cref="Pending"/>.</summary>
        Io,

        /// <summary>The guest read or wrote memory without a slot; the access is in <see cref="Pending"/>.</summary>
        Mmio,

        /// <summary>HLT or WFI: the vCPU waits for an interrupt, in the kernel or (without one there) outside.</summary>
        Halt,

        /// <summary>A fault that the guest can't take.</summary>
        Shutdown,

        /// <summary>An instruction that the interpreter does not know.</summary>
        UnknownInstruction,

        /// <summary>The guest asked for power off or reset.</summary>
        SystemEvent,
    }

    /// <inheritdoc/>
    public bool ImmediateExit
    {
        get
        {
            ThrowIfDisposed();
            return _immediateExit;
        }

        set
        {
            ThrowIfDisposed();
            _immediateExit = value;
        }
    }

    /// <summary>The access that the guest's current instruction waits for.</summary>
    private protected ref PendingAccess Pending => ref _pending;

    /// <summary>What the guest wrote, or what the owner answers.</summary>
    private protected Span<byte> ExitData => _exitData;

    /// <inheritdoc/>
    public void BindToCurrentThread()
    {
        ThrowIfDisposed();
        if (_thread is not null)
            throw new InvalidOperationException($"vCPU {Index} is bound to a thread already.");
        if (t_bound is { } other && other._thread == Thread.CurrentThread)
            throw new InvalidOperationException($"This thread drives vCPU {other.Index} already.");
        _kick = 0;
        t_bound = this;
        _thread = Thread.CurrentThread;
    }

    /// <inheritdoc/>
    public void Unbind()
    {
        if (_thread == Thread.CurrentThread)
            t_bound = null;
        _thread = null;
    }

    /// <inheritdoc/>
    public void Kick()
    {
        if (_thread is not { IsAlive: true })
            return;
        // Full fences here and where the sleeper says that it sleeps: either it sees the kick or it is woken.
        if (Interlocked.Exchange(ref _kick, 1) != 0 || !_isAsleep)
            return;
        lock (_gate)
            Monitor.PulseAll(_gate);
    }

    /// <inheritdoc/>
    /// <remarks>
    /// In the kernel's order: an access that the last exit left half done is finished first, then immediate_exit and kicks are
    /// looked at, then the guest runs.
    /// </remarks>
    public VcpuExit Run()
    {
        ThrowIfDisposed();
        Check(KvmRequests.Run, BeforeRun());
        Vm.HasRun = true;
        _wasInterrupted = false;
        if (_pending.IsThere)
        {
            var access = _pending;
            _pending = default;
            CompleteAccess(access, _exitData.AsSpan(0, access.Size));
            Advance(1);
        }

        if (_immediateExit)
            return Interrupted();
        var left = NextSlice();
        while (true)
        {
            if (Vm.Slots.Failure is { } failure)
                throw new GuestMemoryException(failure.InnerException!);
            if (Volatile.Read(ref _kick) != 0 || left == 0)
                return Interrupted();
            if (!IsRunnable)
            {
                Sleep();
                return Interrupted();
            }

            var stop = Execute(Math.Min(left, InstructionsBetweenLooks), out var executed);
            left -= Options.Slice is null ? 0 : executed;
            Advance(executed);
            if (stop != Stop.Spent && ExitFor(stop, out var exit))
                return exit;
        }
    }

    /// <summary>The error number of a KVM_RUN that may not begin.</summary>
    private protected virtual int BeforeRun() => 0;

    /// <summary>Whether the vCPU executes instructions; otherwise it sleeps until it is kicked.</summary>
    private protected abstract bool IsRunnable { get; }

    /// <summary>Whether HLT or WFI is the kernel's business.</summary>
    private protected abstract bool SleepsInKernel { get; }

    /// <summary>Runs the guest.</summary>
    /// <param name="budget">At most this many instructions, at least one.</param>
    /// <param name="executed">How many were completed.</param>
    private protected abstract Stop Execute(int budget, out int executed);

    /// <summary>Finishes the instruction that an exit left half done.</summary>
    private protected abstract void CompleteAccess(in PendingAccess access, ReadOnlySpan<byte> data);

    /// <summary>Lets the vCPU sleep.</summary>
    private protected abstract void Halt();

    /// <summary>What a system event is: KVM_SYSTEM_EVENT_*.</summary>
    private protected virtual ulong SystemEvent => 0;

    private static ulong Mix(ulong value)
    {
        // The finalizer of SplitMix64 (Steele, Lea, Flood 2014): neighbouring seeds give unrelated numbers.
        value = (value ^ (value >> 30)) * 0xbf58_476d_1ce4_e5b9;
        value = (value ^ (value >> 27)) * 0x94d0_49bb_1331_11eb;
        return value ^ (value >> 31);
    }

    private bool ExitFor(Stop stop, out VcpuExit exit)
    {
        const ulong emulationFailed = 1; // KVM_INTERNAL_ERROR_EMULATION
        switch (stop)
        {
            case Stop.Io or Stop.Mmio:
                exit = new VcpuExit
                {
                    Reason = stop == Stop.Io ? VcpuExitReason.Io : VcpuExitReason.Mmio,
                    IsWrite = _pending.IsWrite,
                    Port = stop == Stop.Io ? (ushort)_pending.Address : (ushort)0,
                    GuestAddress = stop == Stop.Mmio ? _pending.Address : 0,
                    AccessSize = _pending.Size,
                    Data = _exitData.AsSpan(0, _pending.Size),
                };
                return true;
            case Stop.Halt when SleepsInKernel:
                Halt();
                exit = default;
                return false;
            case Stop.Halt:
                exit = new VcpuExit { Reason = VcpuExitReason.Halt };
                return true;
            case Stop.Shutdown:
                exit = new VcpuExit { Reason = VcpuExitReason.Shutdown };
                return true;
            case Stop.UnknownInstruction:
                exit = new VcpuExit { Reason = VcpuExitReason.InternalError, Detail = emulationFailed };
                return true;
            case Stop.SystemEvent:
                exit = new VcpuExit { Reason = VcpuExitReason.SystemEvent, Detail = SystemEvent };
                return true;
            default:
                throw new UnreachableException($"The interpreter stopped for {stop}.");
        }
    }

    // Every EINTR takes the kick with it, also one that immediate_exit caused.
    private VcpuExit Interrupted()
    {
        Interlocked.Exchange(ref _kick, 0);
        _wasInterrupted = true;
        return new VcpuExit { Reason = VcpuExitReason.Interrupted };
    }

    private void Sleep()
    {
        // Nothing but a kick ends this sleep, and an unbound vCPU can't be kicked: the one thread that drives it goes on.
        if (_thread is null)
            return;
        lock (_gate)
        {
            _isAsleep = true;
            Interlocked.MemoryBarrier();
            while (Volatile.Read(ref _kick) == 0)
                Monitor.Wait(_gate);
            _isAsleep = false;
        }
    }

    private int NextSlice()
    {
        if (Options.Slice is not { } slice)
            return int.MaxValue;
        _random += 0x9e37_79b9_7f4a_7c15;
        return slice.Least + (int)(Mix(_random) % ((ulong)slice.Most - (ulong)slice.Least + 1));
    }

    private void Advance(int executed) => Volatile.Write(ref _executed, _executed + (ulong)executed);
}
