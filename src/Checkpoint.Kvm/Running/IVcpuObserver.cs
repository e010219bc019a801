namespace Checkpoint.Kvm.Running;

/// <summary>
/// Hears what a <see cref="VcpuRunner"/> has done, on the vCPU's thread. Each report carries the token of the request that it
/// answers. The guest waits while it is called: it must not block, touch a disk or allocate.
/// </summary>
public interface IVcpuObserver
{
    /// <summary>The vCPU has stopped, with no IO pending.</summary>
    void OnParked(long token);

    /// <summary>The vCPU's state has been read.</summary>
    void OnCaptured(long token);

    /// <summary>The vCPU is about to enter the guest.</summary>
    void OnResumed(long token);

    /// <summary>The state could not be read; the vCPU stays parked.</summary>
    void OnFailed(long token, Exception failure);

    /// <summary>The vCPU will not run again, as was asked by <see cref="VcpuRunner.RequestStop"/>; no IO is pending.</summary>
    void OnStopped();

    /// <summary>
    /// The vCPU will not run again, although nobody asked for that: its guest shut down, KVM_RUN failed, or its exit handler
    /// ended it. Also while it was about to stop.
    /// </summary>
    /// <param name="reason">One line, without the vCPU's name.</param>
    /// <param name="failure">What was thrown, where something was.</param>
    void OnEnded(string reason, Exception? failure);
}
