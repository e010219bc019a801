using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class MsrsImageTests : IDisposable
{
    private readonly FaultPlan _faults = new();
    private readonly FaultyKvm _kvm;
    private readonly GuestMachine _guest;

    public MsrsImageTests()
    {
        _kvm = new FaultyKvm(new SimulatedKvm(new SimulatedKvmOptions { Architecture = MachineArchitecture.X64 }), _faults);
        _guest = GuestMachine.Create(_kvm, GuestKind.Counter, new GuestOptions { Architecture = MachineArchitecture.X64, Vcpus = 1, Seed = 1, MemoryBytes = 2 << 20 });
    }

    [Fact]
    public void An_msr_that_was_refused_for_a_moment_is_not_taken_for_one_that_the_vcpu_has_not()
    {
        var vcpu = _guest.Machine.Vcpus[0].Vcpu;
        var listed = _kvm.GetMsrIndexList();
        var readable = MsrsImage.Readable(vcpu, listed);
        Assert.True(readable.Count > 10);
        var hits = 0;
        for (var call = 1; call <= 4; call++)
        {
            for (var after = 0; after < readable.Count; after++)
            {
                _faults.On("KVM_GET_MSRS", call: call).Times(2).Fail(Errno.EINVAL, afterRegisters: after);
                Assert.Equal(readable, MsrsImage.Readable(vcpu, listed));
                hits += (int)_faults.Hits;
                _faults.Disarm();
            }
        }

        Assert.True(hits > 0);
    }

    public void Dispose()
    {
        _faults.Disarm();
        _guest.Dispose();
        _kvm.Dispose();
    }
}
