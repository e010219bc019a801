using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Registers;

/// <summary>How registers that have an id each travel between a vCPU and the host.</summary>
public enum RegisterBatching
{
    /// <summary>KVM_GET_MANY_REGS and KVM_SET_MANY_REGS: up to 1024 registers a call.</summary>
    ManyRegs,

    /// <summary>KVM_GET_MSRS and KVM_SET_MSRS (x86): up to 255 MSRs a call.</summary>
    Msrs,

    /// <summary>KVM_GET_ONE_REG and KVM_SET_ONE_REG: one register a call.</summary>
    OneReg,
}

/// <summary>Finds out which ways a vCPU offers.</summary>
public static class RegisterBatchings
{
    private const int Asked = 3;

    /// <summary>The name of a way, as commands print it.</summary>
    public static string NameOf(RegisterBatching batching) => batching switch
    {
        RegisterBatching.ManyRegs => "many-regs",
        RegisterBatching.Msrs => "msrs",
        _ => "one-reg",
    };

    /// <summary>The best way that this vCPU has: many-regs, then (x86) msrs, then one-reg.</summary>
    /// <param name="vcpu">A vCPU that is initialised (on arm64 after KVM_ARM_VCPU_INIT).</param>
    /// <param name="architecture">Its architecture.</param>
    public static RegisterBatching BestOf(IVcpu vcpu, MachineArchitecture architecture)
    {
        if (HasManyRegs(vcpu))
            return RegisterBatching.ManyRegs;
        return architecture == MachineArchitecture.X64 ? RegisterBatching.Msrs : RegisterBatching.OneReg;
    }

    /// <summary>
    /// Whether the kernel has the batched calls. Asked with no register it answers 0, or ENOMEM in the text that was proposed
    /// first; a kernel without them answers EINVAL or ENOTTY.
    /// </summary>
    public static bool HasManyRegs(IVcpu vcpu)
    {
        // That text says ENOMEM each time; a host that is short of memory for a moment does not, and may have no such call.
        for (var asked = 0; asked < Asked; asked++)
        {
            var answer = vcpu.GetManyRegs(new RegisterBatch([]));
            if (answer != Errno.ENOMEM)
                return answer == 0;
        }

        return true;
    }
}
