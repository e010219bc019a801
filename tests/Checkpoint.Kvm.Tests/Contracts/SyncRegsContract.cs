using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>REGS, SREGS and VCPU_EVENTS that come with a KVM_RUN are what their own calls read.</summary>
public abstract class SyncRegsContract : IDisposable
{
    private const int Cr0Offset = 224;
    private const int Cr4Offset = 248;
    private const int EferOffset = 264;

    private readonly IKvm _kvm;

    protected SyncRegsContract(IKvm kvm)
    {
        _kvm = kvm;
    }

    /// <summary>Whether every host of this kernel takes PAE paging.</summary>
    protected virtual bool AlwaysTakesPae => true;

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void A_vcpu_that_is_parked_at_any_moment_gives_the_same_bytes_both_ways()
    {
        foreach (var chip in (InterruptChip[])[InterruptChip.None, InterruptChip.Full])
        {
            using var guest = Create(GuestKind.Counter, chip);
            var random = new Random(5);
            using var run = new ParkedRun(guest);
            for (var round = 0; round < 25; round++)
            {
                run.RunForAMoment(20_000 + random.Next(6_000));
                foreach (var vcpu in guest.Machine.Vcpus)
                    AssertSameBothWays(vcpu.Vcpu, chip, X64Synced.All);
            }
        }
    }

    [ContractFact]
    public void A_vcpu_that_has_not_run_is_read_by_the_calls_and_is_not_run()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        AssertSameBothWays(guest.Machine.Vcpus[0].Vcpu, InterruptChip.Full, X64Synced.Nothing);
    }

    [ContractFact]
    public void A_stop_that_was_asked_for_outlives_the_read()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(20_000);
        var vcpu = guest.Machine.Vcpus[0].Vcpu;
        foreach (var isAsked in (bool[])[true, false])
        {
            vcpu.ImmediateExit = isAsked;
            Assert.True(vcpu.TryGetSyncRegs(new byte[144], new byte[312], new byte[64]));
            Assert.Equal(isAsked, vcpu.ImmediateExit);
        }
    }

    [ContractFact]
    public void A_halted_vcpu_gives_the_same_bytes_and_one_that_waits_for_its_start_is_read_by_the_calls()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(20_000);
        var vcpu = guest.Machine.Vcpus[1].Vcpu;
        vcpu.Set(KvmRequests.SetMpState, [3, 0, 0, 0]);
        AssertSameBothWays(vcpu, InterruptChip.Full, X64Synced.All);
        vcpu.Set(KvmRequests.SetMpState, [1, 0, 0, 0]);
        AssertSameBothWays(vcpu, InterruptChip.Full, X64Synced.Nothing);
    }

    [ContractFact]
    public void What_was_made_pending_while_the_vcpu_was_parked_is_in_both()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(20_000);
        var vcpu = guest.Machine.Vcpus[0].Vcpu;
        var events = new byte[KvmRequests.GetVcpuEvents.ArgumentSize];
        vcpu.Get(KvmRequests.GetVcpuEvents, events);
        events[13] = 1; // nmi.pending
        BinaryPrimitives.WriteUInt32LittleEndian(events.AsSpan(20), 1); // KVM_VCPUEVENT_VALID_NMI_PENDING
        vcpu.Set(KvmRequests.SetVcpuEvents, events);
        var read = AssertSameBothWays(vcpu, InterruptChip.Full, X64Synced.All);
        Assert.True(read.TryGet(StateIds.X64VcpuEvents, out var found));
        Assert.Equal(1, found.Span[13]);
    }

    [ContractFact]
    public void With_pae_paging_the_special_registers_come_by_their_own_call()
    {
        using var guest = Create(GuestKind.Counter, InterruptChip.Full);
        using (var run = new ParkedRun(guest))
            run.RunForAMoment(20_000);
        var vcpu = guest.Machine.Vcpus[0].Vcpu;
        var sregs = new byte[KvmRequests.GetSregs2.ArgumentSize];
        vcpu.Get(KvmRequests.GetSregs2, sregs);
        BinaryPrimitives.WriteUInt64LittleEndian(sregs.AsSpan(EferOffset), 0);
        // cs.l
        sregs[19] = 0;
        Assert.NotEqual(0ul, BinaryPrimitives.ReadUInt64LittleEndian(sregs.AsSpan(Cr0Offset)) & (1UL << 31));
        Assert.NotEqual(0ul, BinaryPrimitives.ReadUInt64LittleEndian(sregs.AsSpan(Cr4Offset)) & (1UL << 5));
        var errno = Refused.ErrnoOf(() => vcpu.Set(KvmRequests.SetSregs2, sregs));
        vcpu.Get(KvmRequests.GetSregs2, sregs);
        // struct kvm_sregs2 says itself whether it has PDPTRs. A backend without PAE drops the paging bit and says nothing.
        var isPae = BinaryPrimitives.ReadUInt64LittleEndian(sregs.AsSpan(280)) == 1;
        Assert.True((errno == 0 && isPae) || !AlwaysTakesPae);
        AssertSameBothWays(vcpu, InterruptChip.Full, isPae ? X64Synced.AllButSregs : X64Synced.All);
    }

    private StateList AssertSameBothWays(IVcpu vcpu, InterruptChip chip, X64Synced expected)
    {
        var plan = X64StatePlan.Probe(_kvm, vcpu, chip, null);
        Assert.True(plan.HasSyncRegs);
        var withSync = new X64VcpuState(vcpu, plan);
        var byCalls = new X64VcpuState(vcpu, plan.WithoutSyncRegs());
        withSync.Capture();
        Assert.Equal(expected, withSync.Synced);
        byCalls.Capture();
        Assert.Equal(X64Synced.Nothing, byCalls.Synced);
        var (first, second) = (withSync.ToStateList(), byCalls.ToStateList());
        Assert.Equal(first.Select(item => item.Id), second.Select(item => item.Id));
        foreach (var item in first)
        {
            // The TSC goes on between two reads.
            if (item.Id == StateIds.X64Msr(0x10))
                continue;
            Assert.True(second.TryGet(item.Id, out var other));
            Assert.True(item.Value.Span.SequenceEqual(other.Span), $"{Checkpoint.Kvm.Registers.RegisterNames.NameOf(item.Id)} differs");
        }

        return first;
    }

    private GuestMachine Create(GuestKind kind, InterruptChip chip) =>
        GuestMachine.Create(_kvm, kind, new GuestOptions { Vcpus = 2, Seed = 7, ExitEverySteps = 1 << 12 }, chip);
}
