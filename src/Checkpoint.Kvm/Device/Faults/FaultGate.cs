using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>What every call of one kernel, VM or vCPU passes before it is made.</summary>
/// <param name="faults">What is to go wrong.</param>
/// <param name="participant">Whose calls they are.</param>
/// <param name="vcpu">The vCPU's index.</param>
/// <param name="machine">The VM's gate, where these are the calls of something that belongs to a VM.</param>
/// <param name="name">What the owner calls the machine.</param>
internal sealed class FaultGate(FaultPlan faults, string participant, int? vcpu = null, FaultGate? machine = null, string? name = null)
{
    private volatile int _goneErrno;

    /// <summary>What is to go wrong.</summary>
    public FaultPlan Faults => faults;

    /// <summary>A gate for something that belongs to this VM.</summary>
    public FaultGate Of(string part) => new(faults, part, null, this, name);

    /// <summary>A gate for one of this VM's vCPUs.</summary>
    public FaultGate OfVcpu(int index) => new(faults, FaultSite.OnVcpu(string.Empty, index).Participant, index, this, name);

    /// <summary>Lets a call pass, waits, or throws what it fails with.</summary>
    /// <param name="call">Its name.</param>
    /// <returns>What the caller itself must take care of: a failure partway, an exit. Null for everything else.</returns>
    /// <exception cref="KvmException">The call fails.</exception>
    public FaultHit? Pass(string call)
    {
        var hit = PassOrWait(call);
        if (hit?.Action is not (FaultAction.Delay or FaultAction.Hang))
            return hit;
        faults.Wait(hit);
        return null;
    }

    /// <summary>As <see cref="Pass"/>, but a wait is the caller's to take care of.</summary>
    public FaultHit? PassOrWait(string call)
    {
        var gone = machine is { _goneErrno: > 0 } ? machine._goneErrno : _goneErrno;
        if (gone != 0)
            throw Failed(call, gone, "gone since an injected fault");
        if (faults.Next(new FaultSite(call, participant, vcpu) { Machine = name }) is not { } hit)
            return null;
        switch (hit.Action)
        {
            case FaultAction.Fail { AfterRegisters: null } fail:
                throw Failed(call, fail.Errno, "injected");
            case FaultAction.Die:
                _goneErrno = Errno.EIO;
                throw Failed(call, Errno.EIO, "injected: the vCPU is dead");
            case FaultAction.LoseMachine lost:
                (machine ?? this)._goneErrno = lost.Errno;
                throw Failed(call, lost.Errno, "injected: the machine is gone");
            default:
                return hit;
        }
    }

    private KvmException Failed(string call, int errno, string detail) => new(call, errno, vcpu, detail: detail);
}
