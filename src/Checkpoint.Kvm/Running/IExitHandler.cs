using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Running;

/// <summary>What a vCPU does after an exit was handled.</summary>
public enum ExitAction
{
    /// <summary>Enter the guest again.</summary>
    Continue,

    /// <summary>The guest is done with this vCPU: its runner ends.</summary>
    Stop,
}

/// <summary>
/// The owner's answer to exits: ports, MMIO, halts. It is called on the vCPU's thread, for several vCPUs at once, and must
/// not wait for a checkpoint: a vCPU inside it cannot park.
/// </summary>
public interface IExitHandler
{
    /// <summary>Handles one exit. What it throws ends the vCPU and aborts the checkpoint under way, by name.</summary>
    /// <param name="vcpu">The index of the vCPU.</param>
    /// <param name="exit">The exit; data for the guest is written into <see cref="VcpuExit.Data"/>.</param>
    ExitAction Handle(int vcpu, in VcpuExit exit);
}
