using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>An owner's exit handler that throws, or takes its time.</summary>
/// <param name="inner">The handler.</param>
/// <param name="faults">What is to go wrong.</param>
/// <param name="machine">What rules call its machine (<see cref="FaultSite.Machine"/>).</param>
public sealed class FaultyExitHandler(IExitHandler inner, FaultPlan faults, string? machine = null) : IExitHandler
{
    /// <inheritdoc/>
    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        if (faults.IsAbout(FaultCalls.ExitHandle) && faults.Next(FaultSite.OnVcpu(FaultCalls.ExitHandle, vcpu) with { Machine = machine }) is { } hit)
        {
            faults.Wait(hit);
            if (hit.Action is FaultAction.Fail fail)
                throw new IOException($"{ErrorNumbers.NameOf(fail.Errno)}; injected");
        }

        return inner.Handle(vcpu, exit);
    }
}
