using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class MsrsImageTests : IDisposable
{
    private readonly FaultyVcpu _machine = new(new SimulatedKvmOptions { Architecture = MachineArchitecture.X64 });

    [Fact]
    public void An_msr_that_was_refused_for_a_moment_is_not_taken_for_one_that_the_vcpu_has_not()
    {
        var vcpu = _machine.Vcpu;
        var listed = _machine.Kvm.GetMsrIndexList();
        var readable = MsrsImage.Readable(vcpu, listed);
        Assert.True(readable.Count > 10);
        var hits = 0;
        for (var call = 1; call <= 4; call++)
        {
            for (var after = 0; after < readable.Count; after++)
            {
                _machine.Faults.On("KVM_GET_MSRS", call: call).Times(2).Fail(Errno.EINVAL, afterRegisters: after);
                Assert.Equal(readable, MsrsImage.Readable(vcpu, listed));
                hits += (int)_machine.Faults.Hits;
                _machine.Faults.Disarm();
            }
        }

        Assert.True(hits > 0);
    }

    public void Dispose() => _machine.Dispose();
}
