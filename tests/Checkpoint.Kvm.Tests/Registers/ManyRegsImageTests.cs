using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed class ManyRegsImageTests : IDisposable
{
    private const int MostCalls = 24;

    private readonly FaultyVcpu _machine = new(new SimulatedKvmOptions { Architecture = MachineArchitecture.Arm64, ManyRegs = SimulatedManyRegs.Present });

    [Fact]
    public void What_is_read_while_calls_fail_for_a_moment_is_every_register_or_nothing()
    {
        var ids = _machine.Vcpu.GetRegList();
        var expected = ValuesOf(ids, new OneRegImage(ids));
        var failures = 0;
        for (var second = 2; second <= MostCalls; second++)
        {
            FailAt("KVM_GET_MANY_REGS", second);
            try
            {
                Assert.Equal(expected, ValuesOf(ids, new ManyRegsImage(ids)));
            }
            catch (KvmException)
            {
                failures++;
            }

            _machine.Faults.Disarm();
        }

        Assert.True(failures < MostCalls / 2, $"{failures} reads failed");
    }

    [Fact]
    public void What_is_written_while_calls_fail_for_a_moment_is_every_register_that_is_not_named_as_refused()
    {
        ulong[] ids = [.. Enumerable.Range(0, 30).Select(Arm64Registers.X)];
        for (var second = 2; second <= MostCalls; second++)
        {
            var image = new ManyRegsImage(ids);
            for (var i = 0; i < ids.Length; i++)
                image.ValueOf(i).Fill((byte)(second + i));
            FailAt("KVM_SET_MANY_REGS", second);
            var refused = image.Write(_machine.Vcpu).Select(each => each.Index).ToHashSet();
            _machine.Faults.Disarm();

            var found = new OneRegImage(ids);
            found.Read(_machine.Vcpu);
            for (var i = 0; i < ids.Length; i++)
                Assert.True(refused.Contains(i) || image.ValueOf(i).SequenceEqual(found.ValueOf(i)), $"register {i}, calls 1 and {second} failed");
        }
    }

    [Fact]
    public void A_kernel_that_is_short_of_memory_for_a_moment_is_not_taken_for_one_that_has_the_batched_calls()
    {
        using var without = new FaultyVcpu(new SimulatedKvmOptions { ManyRegs = SimulatedManyRegs.Absent });
        without.Faults.On("KVM_GET_MANY_REGS", call: 1).Times(2).Fail(Errno.ENOMEM);
        Assert.False(RegisterBatchings.HasManyRegs(without.Vcpu));
        _machine.Faults.On("KVM_GET_MANY_REGS", call: 1).Times(2).Fail(Errno.ENOMEM);
        Assert.True(RegisterBatchings.HasManyRegs(_machine.Vcpu));
    }

    public void Dispose() => _machine.Dispose();

    // The whole batch fails, and one of the calls by which it is found out where.
    private void FailAt(string call, int second)
    {
        _machine.Faults.On(call, call: 1).Fail(Errno.EIO);
        _machine.Faults.On(call, call: second).Fail(Errno.EIO);
    }

    private byte[][] ValuesOf(ulong[] ids, RegisterImage image)
    {
        image.Read(_machine.Vcpu);
        return [.. ids.Select((_, i) => image.ValueOf(i).ToArray())];
    }
}
