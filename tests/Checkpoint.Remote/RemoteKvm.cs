using System.Buffers.Binary;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Remote;

/// <summary>The KVM of another machine, reached through the agent there.</summary>
public sealed class RemoteKvm : IKvm
{
    private const int MaxMsrs = 1024;
    private const int MaxCpuidEntries = 256; // KVM_MAX_CPUID_ENTRIES of current kernels

    private readonly AgentConnection _agent;
    private readonly int _fd;
    private int _isDisposed;

    private RemoteKvm(AgentConnection agent, int fd)
    {
        _agent = agent;
        _fd = fd;
    }

    /// <inheritdoc/>
    public int ApiVersion => (int)Call(KvmRequests.GetApiVersion, 0);

    /// <inheritdoc/>
    public ulong CounterHz
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
            var request = new AgentRequest();
            var counted = request.Counter();
            return (ulong)Math.Max(0, _agent.System.Exchange(request)[counted]);
        }
    }

    /// <summary>Opens KVM there.</summary>
    /// <param name="agent">The connection, which stays the caller's.</param>
    /// <param name="path">The device file there.</param>
    /// <exception cref="KvmException">It can't be opened.</exception>
    public static RemoteKvm Open(AgentConnection agent, string path = "/dev/kvm")
    {
        var request = new AgentRequest();
        var opened = request.Open(path);
        var fd = agent.System.Exchange(request)[opened];
        return fd >= 0 ? new RemoteKvm(agent, (int)fd) : throw new KvmException("open", (int)-fd, detail: path);
    }

    /// <inheritdoc/>
    public int CheckExtension(uint capability) => (int)Call(KvmRequests.CheckExtension, capability);

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> GetSupportedCpuid()
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        return GetCpuid(_agent.System, _fd, KvmRequests.GetSupportedCpuid, null);
    }

    /// <inheritdoc/>
    public uint[] GetMsrIndexList()
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        // Room for more than any kernel lists: E2BIG would say so.
        var list = new uint[1 + MaxMsrs];
        list[0] = MaxMsrs;
        var bytes = MemoryMarshal.AsBytes(list.AsSpan());
        _agent.System.Call(_fd, KvmRequests.GetMsrIndexList, bytes, bytes);
        return list[1..(int)(1 + list[0])];
    }

    /// <inheritdoc/>
    public IVm CreateVm(ulong type = 0)
    {
        var vm = (int)Call(KvmRequests.CreateVm, type);
        return new RemoteVm(_agent, vm, (int)Call(KvmRequests.GetVcpuMmapSize, 0));
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0)
            return;
        var request = new AgentRequest();
        request.Close(_fd);
        _agent.System.Exchange(request);
    }

    internal static ReadOnlyMemory<byte> GetCpuid(AgentLane lane, int fd, in KvmRequest request, int? vcpu)
    {
        var header = Unsafe.SizeOf<kvm_cpuid2>();
        var buffer = new byte[header + (MaxCpuidEntries * Unsafe.SizeOf<kvm_cpuid_entry2>())];
        BinaryPrimitives.WriteInt32LittleEndian(buffer, MaxCpuidEntries);
        lane.Call(fd, request, buffer, buffer, vcpu);
        return buffer.AsMemory(header, BinaryPrimitives.ReadInt32LittleEndian(buffer) * Unsafe.SizeOf<kvm_cpuid_entry2>());
    }

    private long Call(in KvmRequest request, ulong argument)
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        return _agent.System.Call(_fd, request, argument);
    }
}
