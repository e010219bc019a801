using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Remote;

/// <summary>
/// A vCPU on another machine. All its calls are made by one thread of the agent, so that a kick finds KVM_RUN there; what it
/// shares with the kernel is fetched after each exit and sent back before the next entry.
/// </summary>
internal sealed partial class RemoteVcpu : IVcpu
{
    private const int FetchedRunBytes = 64; // up to the end of what an exit says
    private const int Cr8Offset = 16;

    // One thread drives one vCPU at a time, as where kicks are signals of this process.
    [ThreadStatic]
    private static RemoteVcpu? t_bound;

    private readonly RemoteVm _vm;
    private readonly AgentConnection _agent;
    private readonly AgentLane _lane;
    private readonly int _fd;
    private readonly int _xsaveBytes;
    private readonly ulong _runAddress;
    private readonly byte[] _run;
    private volatile Thread? _thread;
    private (int Offset, int Length) _sentBack;
    private bool _immediateExit;
    private bool _wasInterrupted;
    private bool _isDisposed;

    internal RemoteVcpu(RemoteVm vm, AgentConnection agent, int fd, int runBytes, int xsaveBytes, int index)
    {
        _vm = vm;
        _agent = agent;
        _lane = agent.Rent();
        _fd = fd;
        _xsaveBytes = xsaveBytes;
        _run = new byte[Math.Max(runBytes, Unsafe.SizeOf<kvm_run>())];
        Index = index;
        var request = new AgentRequest();
        var mapped = request.Map(fd, (ulong)runBytes);
        var address = _lane.Exchange(request)[mapped];
        if (address < 0)
            throw new KvmException("mmap", (int)-address, index);
        _runAddress = (ulong)address;
    }

    public int Index { get; }

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

    public void BindToCurrentThread()
    {
        ThrowIfDisposed();
        if (_thread is not null)
            throw new InvalidOperationException($"vCPU {Index} is bound to a thread already.");
        if (t_bound is { } other && other._thread == Thread.CurrentThread)
            throw new InvalidOperationException($"This thread drives vCPU {other.Index} already.");
        var request = new AgentRequest();
        request.Bind(_fd);
        if (_lane.Exchange(request).Errno is not 0 and var errno)
            throw new KvmException(KvmRequests.SetSignalMask.Name, errno, Index);
        t_bound = this;
        _thread = Thread.CurrentThread;
    }

    public void Unbind()
    {
        if (_thread is not { } thread)
            return;
        _thread = null;
        if (thread == Thread.CurrentThread)
            t_bound = null;
        var request = new AgentRequest();
        request.Unbind(_fd);
        _lane.Exchange(request);
    }

    public void Kick()
    {
        if (_thread is { IsAlive: true })
            _agent.Kick(_lane);
    }

    public VcpuExit Run()
    {
        ThrowIfDisposed();
        var request = new AgentRequest();
        if (_sentBack.Length > 0)
            request.Put(_runAddress + (ulong)_sentBack.Offset, _run.AsSpan(_sentBack.Offset, _sentBack.Length));
        request.Put(_runAddress + 1, [_immediateExit ? (byte)1 : (byte)0]);
        var ran = request.Ioctl(_fd, KvmRequests.Run.Code, 0);
        var fetched = request.Get(_runAddress, FetchedRunBytes);
        var reply = _lane.Exchange(request);
        _sentBack = default;
        _wasInterrupted = reply[ran] < 0;
        if (_wasInterrupted)
        {
            // EAGAIN: a vCPU that waited to be started was woken; the next entry goes on from there, as after EINTR.
            return -reply[ran] is Errno.EINTR or Errno.EAGAIN
                ? new VcpuExit { Reason = VcpuExitReason.Interrupted }
                : throw new KvmException(KvmRequests.Run.Name, (int)-reply[ran], Index);
        }

        reply.Bytes(fetched).CopyTo(_run);
        return Decode();
    }

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events)
    {
        const int validRegs = 288; // kvm_run.kvm_valid_regs
        ThrowIfDisposed();
        if (!_wasInterrupted)
            return false;
        var request = new AgentRequest();
        request.Put(_runAddress + validRegs, [(byte)SyncRegsCall.All]);
        request.Put(_runAddress + 1, [1]);
        var ran = request.Ioctl(_fd, KvmRequests.Run.Code, 0);
        var errno = (int)-_lane.Exchange(request)[ran];
        // The kernel's answer ends the request above, so that what it left is asked for by a second one.
        var after = new AgentRequest();
        after.Put(_runAddress + validRegs, [0]);
        var fetched = after.Get(_runAddress, Unsafe.SizeOf<kvm_run>());
        var run = _lane.Exchange(after);
        if (errno != Errno.EINTR)
            throw new KvmException(KvmRequests.Run.Name, errno, Index);
        SyncRegsCall.Read(run.Bytes(fetched), regs, sregs, events);
        return true;
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        Unbind();
        _isDisposed = true;
        var request = new AgentRequest();
        request.Free(_runAddress);
        request.Close(_fd);
        _lane.Exchange(request);
        _agent.Return(_lane);
        _vm.Release();
    }

    // The data of an exit lies in the copy of the shared pages; what a handler answers there is sent with the next entry.
    private VcpuExit Decode()
    {
        ref var run = ref MemoryMarshal.AsRef<kvm_run>(_run.AsSpan());
        var reason = (VcpuExitReason)run.exit_reason;
        if (reason == VcpuExitReason.Io)
        {
            _sentBack = ((int)run.io_data_offset, (int)(run.io_size * run.io_count));
            var request = new AgentRequest();
            var fetched = request.Get(_runAddress + run.io_data_offset, _sentBack.Length);
            _lane.Exchange(request).Bytes(fetched).CopyTo(_run.AsSpan(_sentBack.Offset));
        }
        else if (reason == VcpuExitReason.Mmio)
        {
            const int mmioDataOffset = 40;
            _sentBack = (mmioDataOffset, sizeof(ulong));
        }

        return VcpuExitDecoder.Decode(ref run, (ulong)_run.Length);
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);
}
