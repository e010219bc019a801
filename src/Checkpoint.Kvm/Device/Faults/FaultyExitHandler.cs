using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>An owner's exit handler that throws, or takes its time.</summary>
/// <param name="inner">The handler.</param>
/// <param name="faults">What is to go wrong.</param>
public sealed class FaultyExitHandler(IExitHandler inner, FaultPlan faults) : IExitHandler
{
    /// <inheritdoc/>
    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        if (faults.Next(FaultSite.OnVcpu(FaultCalls.ExitHandle, vcpu)) is { } hit)
        {
            faults.Wait(hit);
            if (hit.Action is FaultAction.Fail fail)
                throw new IOException($"{ErrorNumbers.NameOf(fail.Errno)}; injected");
        }

        return inner.Handle(vcpu, exit);
    }
}
