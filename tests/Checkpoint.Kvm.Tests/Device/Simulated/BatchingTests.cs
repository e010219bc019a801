using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

public sealed class BatchingTests
{
    private static readonly ulong s_sysenterCs = StateIds.X64Msr(0x174);
    private static readonly ulong s_sysenterEsp = StateIds.X64Msr(0x175);
    private static readonly EnabledCapability s_count = new(KvmCapability.ManyRegs, 0, [1]);
    private static readonly ulong s_unknown = StateIds.X64Msr(0x4b56_4d99);

    [Theory]
    [InlineData(SimulatedManyRegs.Absent, Errno.EINVAL, false)]
    [InlineData(SimulatedManyRegs.Present, 0, true)]
    [InlineData(SimulatedManyRegs.Counting, 0, true)]
    [InlineData(SimulatedManyRegs.AsProposed, Errno.ENOMEM, true)]
    public void A_call_without_registers_tells_whether_the_kernel_has_it(SimulatedManyRegs manyRegs, int errno, bool has)
    {
        using var one = new OneVcpu(new() { ManyRegs = manyRegs });
        Assert.Equal(errno, one.Vcpu.GetManyRegs(new RegisterBatch([])));
        Assert.Equal(errno, one.Vcpu.SetManyRegs(new RegisterBatch([])));
        Assert.Equal(has, RegisterBatchings.HasManyRegs(one.Vcpu));
        Assert.Equal(has ? RegisterBatching.ManyRegs : RegisterBatching.Msrs, RegisterBatchings.BestOf(one.Vcpu, MachineArchitecture.X64));
    }

    [Fact]
    public void Registers_go_in_array_order_and_as_often_as_they_are_listed()
    {
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Present });
        var batch = new RegisterBatch([s_sysenterCs, s_sysenterEsp, s_sysenterCs]);
        Put(batch, 0, 1);
        Put(batch, 1, 2);
        Put(batch, 2, 3);
        Assert.Equal(0, one.Vcpu.SetManyRegs(batch));
        Assert.Equal(0, one.Vcpu.GetManyRegs(batch));
        Assert.Equal((3ul, 2ul, 3ul), (Word(batch, 0), Word(batch, 1), Word(batch, 2)));
    }

    [Fact]
    public void A_failed_call_has_changed_what_came_before_and_says_no_more_than_the_error()
    {
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Present });
        var batch = new RegisterBatch([s_sysenterCs, s_unknown, s_sysenterEsp]);
        Put(batch, 0, 0x11);
        Put(batch, 2, 0x22);
        Assert.Equal(Errno.EINVAL, one.Vcpu.SetManyRegs(batch));
        var read = new RegisterBatch([s_sysenterCs, s_sysenterEsp]);
        Assert.Equal(0, one.Vcpu.GetManyRegs(read));
        Assert.Equal((0x11ul, 0ul), (Word(read, 0), Word(read, 1)));
    }

    [Fact]
    public void A_kernel_that_counts_says_how_many_were_done_and_no_further_call_is_needed()
    {
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Counting });
        var batch = new RegisterBatch([s_sysenterCs, s_sysenterEsp, s_unknown, s_sysenterCs]);
        Assert.Equal(Errno.EINVAL, one.Vcpu.GetManyRegs(batch));
        Assert.Null(batch.Done);
        one.Vm.EnableCapability(s_count);
        Assert.Equal(Errno.EINVAL, one.Vcpu.GetManyRegs(batch));
        Assert.Equal(2, batch.Done);
        Assert.Equal(Errno.EINVAL, one.Vcpu.SetManyRegs(batch));
        Assert.Equal(2, batch.Done);
        var good = new RegisterBatch([s_sysenterCs]);
        Assert.Equal(0, one.Vcpu.SetManyRegs(good));
        Assert.Null(good.Done);

        var calls = new List<string>();
        using var kvm = new Machines.WatchedKvm(new SimulatedKvm(new() { ManyRegs = SimulatedManyRegs.Counting }), calls.Add);
        using var vm = kvm.CreateVm();
        vm.EnableCapability(s_count);
        using var vcpu = vm.CreateVcpu(0, 0);
        var image = RegisterImage.Create(RegisterBatching.ManyRegs, [s_sysenterCs, s_sysenterEsp, s_unknown, s_sysenterCs]);
        Assert.Equal([2], image.Write(vcpu).Select(refused => refused.Index));
        Assert.Equal(2, calls.Count(call => call == "KVM_SET_MANY_REGS"));
    }

    [Fact]
    public void A_call_takes_1024_registers()
    {
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Present });
        Assert.Equal(0, one.Vcpu.GetManyRegs(new RegisterBatch([.. Enumerable.Repeat(s_sysenterCs, 1024)])));
        Assert.Equal(Errno.E2BIG, one.Vcpu.GetManyRegs(new RegisterBatch([.. Enumerable.Repeat(s_sysenterCs, 1025)])));
        Assert.Equal(Errno.E2BIG, one.Vcpu.SetManyRegs(new RegisterBatch([.. Enumerable.Repeat(s_unknown, 1025)])));
    }

    [Fact]
    public void A_value_without_memory_behind_it_is_a_fault_after_the_registers_before_it()
    {
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Present });
        var value = new byte[8];
        value[0] = 0x33;
        Assert.Equal(Errno.EFAULT, one.Vcpu.MoveManyRegs([s_sysenterCs, s_sysenterEsp], i => i == 0 ? value : default, isWrite: true));
        var read = new byte[8];
        one.Vcpu.GetOneReg(s_sysenterCs, read);
        Assert.Equal(0x33, read[0]);
    }

    [Fact]
    public void A_list_of_1500_registers_travels_in_every_way_and_gives_the_same_bytes()
    {
        var msrs = Enumerable.Range(0, 1500).Select(i => new SimulatedMsr((uint)(0x1_0000 + i), 0x1000_0000_0000ul * (ulong)i)).ToArray();
        using var one = new OneVcpu(new() { ManyRegs = SimulatedManyRegs.Present, Msrs = [.. msrs] });
        var ids = msrs.Select(msr => StateIds.X64Msr(msr.Index)).ToArray();
        foreach (var way in Enum.GetValues<RegisterBatching>())
        {
            var image = RegisterImage.Create(way, ids);
            image.Read(one.Vcpu);
            for (var i = 0; i < ids.Length; i++)
            {
                Assert.Equal(msrs[i].ResetValue + (ulong)(int)way, BinaryPrimitives.ReadUInt64LittleEndian(image.ValueOf(i)));
                BinaryPrimitives.WriteUInt64LittleEndian(image.ValueOf(i), msrs[i].ResetValue + (ulong)(int)way + 1);
            }

            Assert.Empty(image.Write(one.Vcpu));
        }
    }

    [Theory]
    [InlineData(SimulatedManyRegs.Present)]
    [InlineData(SimulatedManyRegs.Counting)]
    public void Every_way_names_the_same_refused_registers(SimulatedManyRegs manyRegs)
    {
        SimulatedRegisterRule[] rules =
        [
            new(StateIds.X64Msr(0x10010), SimulatedRegisterBehaviour.Refuses),
            new(StateIds.X64Msr(0x10044), SimulatedRegisterBehaviour.Refuses) { Value = new byte[] { 7, 0, 0, 0, 0, 0, 0, 0 } },
            new(StateIds.X64Msr(0x10060), SimulatedRegisterBehaviour.ReadOnly),
            new(StateIds.X64Msr(0x10061), SimulatedRegisterBehaviour.Refuses) { Vcpu = 1 },
        ];
        var msrs = Enumerable.Range(0, 300).Select(i => new SimulatedMsr((uint)(0x1_0000 + i))).ToArray();
        using var one = new OneVcpu(new() { ManyRegs = manyRegs, Msrs = [.. msrs], Rules = [.. rules] });
        foreach (var way in Enum.GetValues<RegisterBatching>())
        {
            var image = RegisterImage.Create(way, msrs.Select(msr => StateIds.X64Msr(msr.Index)));
            for (var i = 0; i < msrs.Length; i++)
                image.ValueOf(i)[0] = 7;
            Assert.Equal([0x10, 0x44, 0x60], image.Write(one.Vcpu).Select(refused => refused.Index));
        }
    }

    [Fact]
    public void A_register_may_be_listed_and_unreadable_or_not_listed_or_read_otherwise()
    {
        using var one = new OneVcpu(new()
        {
            Rules =
            [
                new(s_sysenterCs, SimulatedRegisterBehaviour.Unreadable),
                new(s_sysenterEsp, SimulatedRegisterBehaviour.Missing),
                new(StateIds.X64Msr(0x176), SimulatedRegisterBehaviour.ReadsAs) { Value = new byte[] { 9, 0, 0, 0, 0, 0, 0, 0 } },
            ],
        });
        var listed = one.Kvm.GetMsrIndexList();
        Assert.Contains(0x174u, listed);
        Assert.DoesNotContain(0x175u, listed);
        Assert.DoesNotContain(s_sysenterCs, MsrsImage.Readable(one.Vcpu, listed));
        one.Vcpu.SetOneReg(StateIds.X64Msr(0x176), [1, 0, 0, 0, 0, 0, 0, 0]);
        var value = new byte[8];
        one.Vcpu.GetOneReg(StateIds.X64Msr(0x176), value);
        Assert.Equal(9, value[0]);
    }

    private static void Put(RegisterBatch batch, int index, ulong value) => BinaryPrimitives.WriteUInt64LittleEndian(batch.ValueOf(index), value);

    private static ulong Word(RegisterBatch batch, int index) => BinaryPrimitives.ReadUInt64LittleEndian(batch.ValueOf(index));
}
