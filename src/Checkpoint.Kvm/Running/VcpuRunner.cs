using System.Diagnostics;
using System.Globalization;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Running;

/// <summary>
/// Runs one vCPU and stops it on request. It knows nothing of mailboxes: a thread of its own, the embedder's vCPU thread or a
/// simulator drives it through <see cref="Step"/>, and anybody may make requests.
/// </summary>
/// <remarks>
/// <code>
///   Parked ──resume──▶ Running ──park──▶ (finish pending IO) ──▶ Parked ──capture──▶ Parked
///      └──────stop──────▶ Ended ◀──stop, shutdown, exit handler threw──┘
/// </code>
/// A runner begins parked. No kick is lost: a request is published before the kick, the runner looks for a request before it
/// enters KVM_RUN, and a kick that comes between the look and the entry is a pending signal that ends KVM_RUN at once.
/// </remarks>
public sealed class VcpuRunner
{
    private readonly Lock _gate = new();
    private readonly WakeSignal _wake = new();
    private readonly IVcpu _vcpu;
    private readonly IExitHandler _exits;
    private readonly Action _capture;
    private readonly IVcpuObserver _observer;

    private Command _command;
    private long _token;
    private volatile bool _hasCommand;
    private bool _isWaiting;
    private bool _mayBeInGuest;
    private State _state = State.Parked;
    private bool _hasPendingIo;

    /// <summary>Makes a runner; its vCPU does not run before <see cref="RequestResume"/>.</summary>
    /// <param name="vcpu">The vCPU; from here on only the thread that steps the runner uses it.</param>
    /// <param name="exits">Handles exits on that thread.</param>
    /// <param name="capture">Reads the vCPU's state into buffers made beforehand, on that thread, while the vCPU is parked.</param>
    /// <param name="observer">Hears what was done.</param>
    public VcpuRunner(IVcpu vcpu, IExitHandler exits, Action capture, IVcpuObserver observer)
    {
        _vcpu = vcpu;
        _exits = exits;
        _capture = capture;
        _observer = observer;
    }

    private enum Command
    {
        None,
        Park,
        Capture,
        Resume,
        Stop,
    }

    private enum State
    {
        Parked,
        Running,
        Ended,
    }

    /// <summary>The vCPU's index.</summary>
    public int Index => _vcpu.Index;

    /// <summary>Whether the next <see cref="Step"/> does nothing: it is parked and nothing is asked of it.</summary>
    public bool IsIdle => _state == State.Parked && !_hasCommand;

    /// <summary>Stop the vCPU with no IO pending; answered by <see cref="IVcpuObserver.OnParked"/>.</summary>
    public void RequestPark(long token) => Request(Command.Park, token);

    /// <summary>Read the parked vCPU's state; answered by <see cref="IVcpuObserver.OnCaptured"/> or <see cref="IVcpuObserver.OnFailed"/>.</summary>
    public void RequestCapture(long token) => Request(Command.Capture, token);

    /// <summary>Let the vCPU run, parked or on its way there; answered by <see cref="IVcpuObserver.OnResumed"/>.</summary>
    public void RequestResume(long token) => Request(Command.Resume, token);

    /// <summary>End the runner; answered by <see cref="IVcpuObserver.OnStopped"/>.</summary>
    public void RequestStop() => Request(Command.Stop, 0);

    /// <summary>Drives the runner on the calling thread until it ends.</summary>
    public void Run()
    {
        _vcpu.BindToCurrentThread();
        try
        {
            while (Step())
            {
                if (_state == State.Parked)
                    WaitForRequest();
            }
        }
        finally
        {
            _vcpu.Unbind();
        }
    }

    /// <summary>
    /// Does the next thing: answers a request, or enters the guest once and handles its exit. It does not wait: a parked
    /// runner without a request returns at once.
    /// </summary>
    /// <returns>False when the runner has ended.</returns>
    public bool Step()
    {
        if (_state == State.Ended)
            return false;
        if (_hasCommand)
            Answer();
        if (_state == State.Running && !_hasCommand)
            EnterGuest();
        return _state != State.Ended;
    }

    private void Request(Command command, long token)
    {
        bool wasWaiting, mayBeInGuest;
        lock (_gate)
        {
            // A stop is final: a request that comes after it is not answered.
            if (_command == Command.Stop)
                return;
            _command = command;
            _token = token;
            _hasCommand = true;
            wasWaiting = _isWaiting;
            _isWaiting = false;
            mayBeInGuest = _mayBeInGuest;
        }

        // A parked runner that does not wait looks for a request before it does: a kick would only end its next KVM_RUN at once.
        if (wasWaiting)
            _wake.Set();
        else if (mayBeInGuest)
            _vcpu.Kick();
    }

    private void WaitForRequest()
    {
        lock (_gate)
        {
            if (_hasCommand)
                return;
            _isWaiting = true;
        }

        // Whoever makes the next request takes the flag back and sets the signal, once.
        _wake.Wait();
    }

    private void Answer()
    {
        Command command;
        long token;
        lock (_gate)
        {
            command = _command;
            token = _token;
            _hasCommand = false;
            if (command != Command.Stop)
                _command = Command.None;
            _mayBeInGuest |= command == Command.Resume;
        }

        switch (command)
        {
            case Command.Park:
                if (_state == State.Running && !Park())
                    return;
                _observer.OnParked(token);
                break;
            case Command.Capture:
                Capture(token);
                break;
            case Command.Resume:
                _state = State.Running;
                _observer.OnResumed(token);
                break;
            case Command.Stop:
                // Parked first: what is read from a stopped vCPU must have no IO half done.
                if (_state == State.Running && !Park())
                    return;
                _state = State.Ended;
                _observer.OnStopped();
                break;
            default:
                throw new UnreachableException($"A runner was asked for {command}.");
        }
    }

    private bool Park()
    {
        // An exit for IO or MMIO leaves the instruction half done; only entering KVM_RUN finishes it, and a split MMIO or a
        // repeated IN needs several entries (Documentation/virt/kvm/api.rst 5, immediate_exit).
        if (_hasPendingIo)
        {
            _vcpu.ImmediateExit = true;
            try
            {
                while (_hasPendingIo && _state == State.Running)
                    EnterGuest();
            }
            finally
            {
                _vcpu.ImmediateExit = false;
            }
        }

        if (_state != State.Running)
            return false;
        _state = State.Parked;
        lock (_gate)
            _mayBeInGuest = false;
        return true;
    }

    private void Capture(long token)
    {
        if (_state != State.Parked)
            throw new UnreachableException($"vCPU {Index} was to be captured while it is {_state}.");
        try
        {
            _capture();
        }
        catch (Exception failure)
        {
            _observer.OnFailed(token, failure);
            return;
        }

        _observer.OnCaptured(token);
    }

    private void EnterGuest()
    {
        VcpuExit exit;
        try
        {
            exit = _vcpu.Run();
        }
        catch (Exception failure)
        {
            End($"could not run: {failure.Message}", failure);
            return;
        }

        // Whatever the handler answers (the data of an IN, the result of a hypercall) reaches the guest at the next entry.
        _hasPendingIo = exit.Reason != VcpuExitReason.Interrupted;
        switch (exit.Reason)
        {
            case VcpuExitReason.Interrupted:
                break;
            case VcpuExitReason.Shutdown:
                End("shut down: the guest raised a triple fault", null);
                break;
            case VcpuExitReason.InternalError:
                End(string.Create(CultureInfo.InvariantCulture, $"stopped: KVM_EXIT_INTERNAL_ERROR, suberror {exit.Detail}"), null);
                break;
            case VcpuExitReason.FailEntry:
                End(string.Create(CultureInfo.InvariantCulture, $"stopped: KVM_EXIT_FAIL_ENTRY, reason 0x{exit.Detail:x}"), null);
                break;
            default:
                HandleExit(exit);
                break;
        }
    }

    private void HandleExit(in VcpuExit exit)
    {
        ExitAction action;
        try
        {
            action = _exits.Handle(Index, exit);
        }
        catch (Exception failure)
        {
            End($"was ended by its exit handler: {failure.Message}", failure);
            return;
        }

        if (action == ExitAction.Stop)
            End("was stopped by its exit handler", null);
    }

    private void End(string reason, Exception? failure)
    {
        _state = State.Ended;
        _observer.OnEnded(reason, failure);
    }
}
