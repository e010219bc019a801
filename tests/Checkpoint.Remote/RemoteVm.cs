using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.State;

namespace Checkpoint.Remote;

/// <summary>
/// A VM on another machine. As on this one, its fd is closed when it and its last vCPU and device are disposed of, and its
/// memory goes after that.
/// </summary>
internal sealed partial class RemoteVm : IVm
{
    private const uint PitSpeakerDummy = 1;

    private readonly AgentConnection _agent;
    private readonly int _fd;
    private readonly int _runBytes;
    private readonly Lazy<int> _xsaveBytes;
    private readonly List<RemoteGuestMemory> _memories = [];
    private bool _isDisposed;
    private int _users = 1;

    internal RemoteVm(AgentConnection agent, int fd, int runBytes)
    {
        _agent = agent;
        _fd = fd;
        _runBytes = runBytes;
        _xsaveBytes = new Lazy<int>(() => Math.Max(Unsafe.SizeOf<kvm_xsave>(), Capability(KvmCapability.Xsave2)));
    }

    public int CheckExtension(uint capability)
    {
        ThrowIfDisposed();
        return Capability(capability);
    }

    public void EnableCapability(EnabledCapability capability)
    {
        if (capability.Arguments.Length > 4)
            throw new ArgumentException("KVM_ENABLE_CAP has four argument words.", nameof(capability));
        var argument = new byte[KvmRequests.EnableCap.ArgumentSize];
        MemoryMarshal.Write(argument, capability.Capability);
        MemoryMarshal.Write(argument.AsSpan(4), capability.Flags);
        for (var i = 0; i < capability.Arguments.Length; i++)
            MemoryMarshal.Write(argument.AsSpan(8 + (8 * i)), capability.Arguments[i]);
        Give(KvmRequests.EnableCap, argument);
    }

    public IGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions)
    {
        ThrowIfDisposed();
        var memory = RemoteGuestMemory.Create(_agent.System, regions);
        lock (_memories)
            _memories.Add(memory);
        try
        {
            // A slot that was set stays set when a later one is refused: the memory stays until the VM is gone.
            foreach (var (region, address) in memory.Slots)
            {
                var argument = new kvm_userspace_memory_region
                {
                    slot = region.Slot,
                    flags = region.Flags,
                    guest_phys_addr = region.GuestAddress,
                    memory_size = region.SizeBytes,
                    userspace_addr = address,
                };
                Give(KvmRequests.SetUserMemoryRegion, MemoryMarshal.AsBytes(new Span<kvm_userspace_memory_region>(ref argument)));
            }

            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    public void SetTssAddress(ulong guestAddress) => Call(KvmRequests.SetTssAddress, guestAddress);

    public void SetIdentityMapAddress(ulong guestAddress) =>
        Give(KvmRequests.SetIdentityMapAddress, MemoryMarshal.AsBytes(new Span<ulong>(ref guestAddress)));

    public void CreateIrqchip() => Call(KvmRequests.CreateIrqchip, 0);

    public void CreatePit()
    {
        var config = new kvm_pit_config { flags = PitSpeakerDummy };
        Give(KvmRequests.CreatePit2, MemoryMarshal.AsBytes(new Span<kvm_pit_config>(ref config)));
    }

    public void SetGsiRouting(ReadOnlySpan<byte> entries)
    {
        var entryBytes = Unsafe.SizeOf<kvm_irq_routing_entry>();
        if (entries.Length % entryBytes != 0)
            throw new ArgumentException($"Routes have {entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        var buffer = new byte[Unsafe.SizeOf<kvm_irq_routing>() + entries.Length];
        MemoryMarshal.Write(buffer, entries.Length / entryBytes);
        entries.CopyTo(buffer.AsSpan(Unsafe.SizeOf<kvm_irq_routing>()));
        Give(KvmRequests.SetGsiRouting, buffer);
    }

    public void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        ThrowIfDisposed();
        _agent.System.Call(_fd, request, argument, argument);
    }

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        Give(request, argument.ToArray());
    }

    public IKvmDevice CreateDevice(uint type)
    {
        ThrowIfDisposed();
        var argument = new kvm_create_device { type = type };
        var bytes = MemoryMarshal.AsBytes(new Span<kvm_create_device>(ref argument));
        _agent.System.Call(_fd, KvmRequests.CreateDevice, bytes, bytes);
        Interlocked.Increment(ref _users);
        return new RemoteDevice(this, _agent.System, (int)argument.fd);
    }

    public IVcpu CreateVcpu(uint id, int index)
    {
        ThrowIfDisposed();
        var fd = (int)_agent.System.Call(_fd, KvmRequests.CreateVcpu, id, index);
        Interlocked.Increment(ref _users);
        return new RemoteVcpu(this, _agent, fd, _runBytes, _xsaveBytes.Value, index);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        Release();
    }

    /// <summary>What KVM_CHECK_EXTENSION answers, also to a vCPU whose VM was disposed of.</summary>
    internal int Capability(uint capability) => (int)_agent.System.Call(_fd, KvmRequests.CheckExtension, capability);

    /// <summary>One vCPU or device less, or the VM itself; the last of them closes the fd.</summary>
    internal void Release()
    {
        if (Interlocked.Decrement(ref _users) != 0)
            return;
        var request = new AgentRequest();
        request.Close(_fd);
        _agent.System.Exchange(request);
        lock (_memories)
        {
            foreach (var memory in _memories)
                memory.Forget();
        }
    }

    private void Call(in KvmRequest request, ulong argument)
    {
        ThrowIfDisposed();
        _agent.System.Call(_fd, request, argument);
    }

    private void Give(in KvmRequest request, Span<byte> argument)
    {
        ThrowIfDisposed();
        _agent.System.Call(_fd, request, argument, []);
    }

    private void ThrowIfDisposed() => ObjectDisposedException.ThrowIf(_isDisposed, this);
}
