namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// Why no vCPU of a VM may run any more. Whoever sets it kicks every vCPU first: one that waits in the kernel for memory
/// that does not come leaves KVM_RUN by its pending signal, before the failed access can become an exception in the guest.
/// </summary>
internal sealed class VmFailure
{
    private readonly Lock _gate = new();
    private readonly List<KickGate> _vcpus = [];
    private volatile GuestMemoryException? _failure;

    internal void Add(KickGate vcpu)
    {
        lock (_gate)
            _vcpus.Add(vcpu);
    }

    internal void Remove(KickGate vcpu)
    {
        lock (_gate)
            _vcpus.Remove(vcpu);
    }

    internal void Fail(GuestMemoryException failure)
    {
        _failure = failure;
        KickGate[] vcpus;
        lock (_gate)
            vcpus = [.. _vcpus];
        foreach (var vcpu in vcpus)
        {
            try
            {
                vcpu.Kick();
            }
            catch (KvmException)
            {
                // Its next KVM_RUN is refused all the same, and so is its next access to what is missing.
            }
        }
    }

    /// <summary>Called before and after KVM_RUN.</summary>
    /// <exception cref="GuestMemoryException">The VM's vCPUs may not run any more.</exception>
    internal void ThrowIfFailed()
    {
        if (_failure is { } failure)
            throw new GuestMemoryException(failure.InnerException!);
    }
}
