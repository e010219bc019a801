using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;
using Checkpoint.Kvm.Tests.Contracts;
using static Checkpoint.Kvm.Device.Errno;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

/// <summary>The arm64 laws of KVM that the documentation and the sources give; no machine of that kind is at hand to compare.</summary>
public sealed class Arm64VcpuTests
{
    private const uint Psci = 1 << 2;
    private const uint Sve = 1 << 4;
    private const uint HalfOfPointerAuth = 1 << 5;
    private static readonly byte[] s_finalizeSve = [4, 0, 0, 0];

    [Fact]
    public void Before_init_a_vcpu_has_no_registers_and_does_not_run()
    {
        using var one = new OneVcpu(Options() with { ManyRegs = SimulatedManyRegs.Present }, armFeatures: null);
        Assert.Equal(ENOEXEC, Refused.ErrnoOf(() => one.Vcpu.GetOneReg(Arm64Registers.Pc, new byte[8])));
        Assert.Equal(ENOEXEC, Refused.ErrnoOf(() => one.Vcpu.GetRegList()));
        Assert.Equal(ENOEXEC, one.Vcpu.GetManyRegs(new RegisterBatch([Arm64Registers.Pc])));
        Assert.Equal(ENOEXEC, one.Vcpu.GetManyRegs(new RegisterBatch([])));
        Assert.Equal(ENOEXEC, Refused.ErrnoOf(() => one.Vcpu.Get(KvmRequests.GetVcpuEvents, new byte[64])));
        Assert.Equal(ENOEXEC, Refused.ErrnoOf(() => one.Vcpu.Run()));
        Assert.Equal(ENOEXEC, Refused.ErrnoOf(() => one.Vcpu.Set(KvmRequests.ArmVcpuFinalize, s_finalizeSve)));
    }

    [Fact]
    public void Init_takes_the_features_that_there_are_and_the_same_for_all()
    {
        using var one = new OneVcpu(Options(), Psci);
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => one.Vcpu.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(0))));
        Assert.Equal(0, Refused.ErrnoOf(() => one.Vcpu.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(Psci))));
        using var second = one.Vm.CreateVcpu(1, 1);
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => second.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(Psci | Sve))));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => second.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(Psci | HalfOfPointerAuth))));
        Assert.Equal(ENOENT, Refused.ErrnoOf(() => second.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(1u << 20))));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => second.Set(KvmRequests.ArmVcpuInit, new byte[32])));
        // KVM_ARM_VCPU_POWER_OFF is how a vCPU begins, not what it is.
        second.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(Psci | 1));
        var state = new byte[4];
        second.Get(KvmRequests.GetMpState, state);
        Assert.Equal(5, state[0]);
    }

    [Fact]
    public void A_plain_list_has_259_registers_and_all_can_be_read_and_written_back()
    {
        using var one = new OneVcpu(Options() with { ManyRegs = SimulatedManyRegs.Present }, Psci);
        var list = one.Vcpu.GetRegList();
        Assert.Equal(list.Length, list.Distinct().Count());
        Assert.Equal(259, list.Length);
        foreach (var way in (RegisterBatching[])[RegisterBatching.OneReg, RegisterBatching.ManyRegs])
        {
            var image = RegisterImage.Create(way, list);
            image.Read(one.Vcpu);
            Assert.Empty(image.Write(one.Vcpu));
        }
    }

    [Fact]
    public void Sve_is_finalized_between_its_lengths_and_its_registers()
    {
        using var one = new OneVcpu(Options() with { Arm64 = new() { SveVectorLengths = 4 } }, Psci | Sve);
        Assert.Equal(EPERM, Refused.ErrnoOf(() => one.Vcpu.GetRegList()));
        Assert.Equal(EPERM, Refused.ErrnoOf(() => one.Vcpu.GetOneReg(Arm64Registers.Z(0), new byte[256])));
        Assert.Equal(EPERM, Refused.ErrnoOf(() => one.Vcpu.Run()));
        var lengths = new byte[64];
        one.Vcpu.GetOneReg(Arm64Registers.SveLengths, lengths);
        Assert.Equal(0xf, lengths[0]);
        foreach (byte wrong in (byte[])[0, 0b101, 0x1f])
        {
            lengths[0] = wrong;
            Assert.Equal(EINVAL, Refused.ErrnoOf(() => one.Vcpu.SetOneReg(Arm64Registers.SveLengths, lengths)));
        }

        lengths[0] = 3;
        one.Vcpu.SetOneReg(Arm64Registers.SveLengths, lengths);
        one.Vcpu.Set(KvmRequests.ArmVcpuFinalize, s_finalizeSve);
        Assert.Equal(EPERM, Refused.ErrnoOf(() => one.Vcpu.Set(KvmRequests.ArmVcpuFinalize, s_finalizeSve)));
        Assert.Equal(EPERM, Refused.ErrnoOf(() => one.Vcpu.SetOneReg(Arm64Registers.SveLengths, lengths)));
        Assert.Equal(EINVAL, Refused.ErrnoOf(() => one.Vcpu.GetOneReg(Arm64Registers.V(0), new byte[16])));
        // Two lengths are 256 bits; what is written beyond is not there.
        one.Vcpu.SetOneReg(Arm64Registers.Z(3), [.. Enumerable.Repeat((byte)0xaa, 256)]);
        var z = new byte[256];
        one.Vcpu.GetOneReg(Arm64Registers.Z(3), z);
        Assert.Equal(32, z.Count(each => each == 0xaa));
        Assert.Equal(259 + 19, one.Vcpu.GetRegList().Length);
    }

    [Fact]
    public void Ids_that_are_none_are_told_from_ids_of_others_and_of_another_size()
    {
        using var one = new OneVcpu(Options(), Psci);
        int Get(ulong id) => Refused.ErrnoOf(() => one.Vcpu.GetOneReg(id, new byte[RegisterBatch.SizeOf(id)]));
        Assert.Equal(ENOENT, Get(Arm64SystemRegisters.IdOf(3, 7, 15, 15, 7)));
        Assert.Equal(ENOENT, Get(Arm64Registers.Pc + 0x800));
        Assert.Equal(EINVAL, Get(Arm64Registers.Pc - (1UL << 52)));
        Assert.Equal(ENOENT, Get(Arm64SystemRegisters.IdOf("TCR_EL1") - (1UL << 52)));
        Assert.Equal(EINVAL, Get(StateIds.X64Msr(0x174)));
        Assert.Equal(ENOENT, Get(Arm64Registers.Z(0)));
    }

    [Fact]
    public void What_identifies_the_host_stays_and_what_describes_it_may_shrink_until_a_vcpu_has_run()
    {
        using var one = new OneVcpu(Options(), Psci);
        Assert.Equal(EINVAL, TrySet(one, Arm64SystemRegisters.IdOf("MIDR_EL1"), 0x1234));
        var features = Arm64SystemRegisters.IdOf("ID_AA64ISAR0_EL1");
        var value = Word(one, features);
        Assert.Equal(E2BIG, TrySet(one, features, value + (1UL << 60)));
        Assert.Equal(0, TrySet(one, features, value & ~0xf0UL));
        var bitmap = Arm64Registers.FirmwareBitmaps[0].Id;
        Assert.Equal(EINVAL, TrySet(one, bitmap, 2));
        Assert.Equal(0, TrySet(one, bitmap, 0));
        one.Vcpu.ImmediateExit = true;
        one.Vcpu.Run();
        Assert.Equal((EBUSY, 0), (TrySet(one, bitmap, 1), TrySet(one, bitmap, 0)));
        Assert.Equal(EBUSY, TrySet(one, features, value));
        Assert.Equal(EINVAL, TrySet(one, Arm64Registers.FirmwareRegisters[0].Id, 0x2_0000));
        Assert.Equal(EINVAL, TrySet(one, Arm64Registers.Pstate, 0x3c9));
    }

    [Fact]
    public void A_counter_belongs_to_the_vm_and_a_timer_that_is_due_says_so()
    {
        using var one = new OneVcpu(Options(), Psci);
        using var second = one.Vm.CreateVcpu(1, 1);
        second.Set(KvmRequests.ArmVcpuInit, OneVcpu.Init(Psci));
        var count = Arm64SystemRegisters.IdOf("CNTVCT_EL0");
        Assert.Equal(0, TrySet(one, count, 0x1234_5678));
        var value = new byte[8];
        second.GetOneReg(count, value);
        Assert.Equal(0x1234_5678ul, BinaryPrimitives.ReadUInt64LittleEndian(value));
        TrySet(one, Arm64SystemRegisters.IdOf("CNTV_CVAL_EL0"), 0x2000_0000);
        TrySet(one, Arm64SystemRegisters.IdOf("CNTV_CTL_EL0"), 5);
        Assert.Equal(1ul, Word(one, Arm64SystemRegisters.IdOf("CNTV_CTL_EL0")));
        TrySet(one, Arm64SystemRegisters.IdOf("CNTV_CVAL_EL0"), 0x1000);
        Assert.Equal(5ul, Word(one, Arm64SystemRegisters.IdOf("CNTV_CTL_EL0")));
    }

    [Fact]
    public void Every_register_that_is_refused_is_named_exactly()
    {
        using var plain = new OneVcpu(Options(), Psci);
        var list = plain.Vcpu.GetRegList();
        for (var i = 0; i < list.Length; i++)
        {
            using var one = new OneVcpu(
                Options() with { ManyRegs = SimulatedManyRegs.Present, Rules = [new(list[i], SimulatedRegisterBehaviour.Refuses)] }, Psci);
            var image = RegisterImage.Create(i % 2 == 0 ? RegisterBatching.ManyRegs : RegisterBatching.OneReg, list);
            image.Read(one.Vcpu);
            Assert.Equal([new RefusedRegister(i, EINVAL)], image.Write(one.Vcpu));
        }
    }

    [Fact]
    public void Refused_registers_at_both_ends_of_a_batch_are_all_named()
    {
        using var plain = new OneVcpu(Options(), Psci);
        var list = plain.Vcpu.GetRegList();
        int[] refused = [0, 1, 100, list.Length - 2, list.Length - 1];
        using var one = new OneVcpu(
            Options() with
            {
                ManyRegs = SimulatedManyRegs.Present,
                Rules = [.. refused.Select(i => new SimulatedRegisterRule(list[i], SimulatedRegisterBehaviour.Refuses) { Errno = EPERM })],
            },
            Psci);
        var image = RegisterImage.Create(RegisterBatching.ManyRegs, list);
        image.Read(one.Vcpu);
        Assert.Equal(refused.Select(i => new RefusedRegister(i, EPERM)), image.Write(one.Vcpu));
    }

    private static SimulatedKvmOptions Options() => new() { Architecture = MachineArchitecture.Arm64 };

    private static int TrySet(OneVcpu one, ulong id, ulong value)
    {
        var bytes = BitConverter.GetBytes(value);
        return Refused.ErrnoOf(() => one.Vcpu.SetOneReg(id, bytes));
    }

    private static ulong Word(OneVcpu one, ulong id)
    {
        var value = new byte[8];
        one.Vcpu.GetOneReg(id, value);
        return BinaryPrimitives.ReadUInt64LittleEndian(value);
    }
}
