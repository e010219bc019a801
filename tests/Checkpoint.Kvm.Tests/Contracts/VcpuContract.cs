using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using static Checkpoint.Kvm.Tests.Contracts.UserModeGuest;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>How KVM_RUN behaves on every x86 kernel.</summary>
public abstract class VcpuContract : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(20);

    // jmp to itself; and: out dx, eax; jmp back.
    private static readonly byte[] s_loop = [0xeb, 0xfe];
    private static readonly byte[] s_outLoop = [0xef, 0xeb, 0xfd];

    private readonly IKvm _kvm;

    protected VcpuContract(IKvm kvm) => _kvm = kvm;

    public void Dispose()
    {
        _kvm.Dispose();
        GC.SuppressFinalize(this);
    }

    [ContractFact]
    public void An_out_instruction_leaves_its_port_and_data()
    {
        // mov eax, 0x12345678; out dx, eax
        using var guest = Guest(0xb8, 0x78, 0x56, 0x34, 0x12, 0xef);
        var exit = guest.Vcpu.Run();
        Assert.Equal(VcpuExitReason.Io, exit.Reason);
        Assert.True(exit.IsWrite);
        Assert.Equal(0xc30, exit.Port);
        Assert.Equal(4, exit.AccessSize);
        Assert.Equal([0x78, 0x56, 0x34, 0x12], exit.Data.ToArray());
    }

    [ContractFact]
    public void What_the_handler_writes_is_what_an_in_instruction_reads()
    {
        // in eax, dx; out dx, eax
        using var guest = Guest(0xed, 0xef);
        guest[Rax] = ulong.MaxValue;
        var read = guest.Vcpu.Run();
        Assert.Equal((VcpuExitReason.Io, false, 4), (read.Reason, read.IsWrite, read.AccessSize));
        new byte[] { 1, 2, 3, 4 }.CopyTo(read.Data);
        Assert.Equal([1, 2, 3, 4], guest.Vcpu.Run().Data.ToArray());
        guest.Vcpu.ImmediateExit = true;
        guest.Vcpu.Run();
        Assert.Equal(0x0403_0201ul, guest[Rax]);
    }

    [ContractFact]
    public void A_byte_that_is_read_leaves_the_rest_of_the_register()
    {
        // in al, dx; out dx, al
        using var guest = Guest(0xec, 0xee);
        guest[Rax] = 0x1122_3344_5566_7788;
        guest.Vcpu.Run().Data[0] = 0x99;
        Assert.Equal([0x99], guest.Vcpu.Run().Data.ToArray());
        guest.Vcpu.ImmediateExit = true;
        guest.Vcpu.Run();
        Assert.Equal(0x1122_3344_5566_7799ul, guest[Rax]);
    }

    [ContractFact]
    public void A_store_without_a_slot_leaves_its_address_and_data()
    {
        // mov [rdi], rbx; mov rbx, [rdi]; out dx, eax
        using var guest = Guest(0x48, 0x89, 0x1f, 0x48, 0x8b, 0x1f, 0xef);
        (guest[Rdi], guest[Rbx]) = (WithoutSlot + 8, 0x0807_0605_0403_0201);
        var written = guest.Vcpu.Run();
        Assert.Equal((VcpuExitReason.Mmio, true, WithoutSlot + 8), (written.Reason, written.IsWrite, written.GuestAddress));
        Assert.Equal([1, 2, 3, 4, 5, 6, 7, 8], written.Data.ToArray());
        var read = guest.Vcpu.Run();
        Assert.Equal((VcpuExitReason.Mmio, false, 8), (read.Reason, read.IsWrite, read.AccessSize));
        read.Data.Fill(7);
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
        Assert.Equal(0x0707_0707_0707_0707ul, guest[Rbx]);
    }

    [ContractFact]
    public void Immediate_exit_finishes_a_pending_read_without_running_further()
    {
        // in eax, dx; mov ebx, 5; out dx, eax
        using var guest = Guest(0xed, 0xbb, 5, 0, 0, 0, 0xef);
        guest.Vcpu.Run().Data[0] = 0x99;
        guest.Vcpu.ImmediateExit = true;
        Assert.True(guest.Vcpu.ImmediateExit);
        Assert.Equal(VcpuExitReason.Interrupted, guest.Vcpu.Run().Reason);
        Assert.Equal((0x99ul, 0ul, CodeAddress + 1), (guest[Rax] & 0xff, guest[Rbx], guest[Rip]));
        Assert.Equal(VcpuExitReason.Interrupted, guest.Vcpu.Run().Reason);
        Assert.Equal(CodeAddress + 1, guest[Rip]);
        guest.Vcpu.ImmediateExit = false;
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
        Assert.Equal(5ul, guest[Rbx]);
    }

    [ContractFact]
    public void A_pending_write_is_finished_once()
    {
        using var guest = Guest(s_outLoop);
        guest.Vcpu.Run();
        guest.Vcpu.ImmediateExit = true;
        guest.Vcpu.Run();
        Assert.Equal(CodeAddress + 1, guest[Rip]);
        guest.Vcpu.ImmediateExit = false;
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
    }

    [ContractFact]
    public void A_fault_without_an_idt_is_a_shutdown()
    {
        // mov rbx, [rdi] where nothing is mapped; an instruction that is undefined; hlt at CPL 3
        byte[][] codes = [[0x48, 0x8b, 0x1f], [0x0f, 0x0b], [0xf4]];
        foreach (var code in codes)
        {
            using var guest = Guest(code);
            guest[Rdi] = Unmapped;
            Assert.Equal(VcpuExitReason.Shutdown, guest.Vcpu.Run().Reason);
        }
    }

    [ContractFact]
    public void Two_hundred_kicks_end_two_hundred_runs()
    {
        using var guest = Guest(s_loop);
        using var entering = new SemaphoreSlim(0);
        using var interrupted = new SemaphoreSlim(0);
        var stop = false;
        var thread = OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            while (!Volatile.Read(ref stop))
            {
                entering.Release();
                if (guest.Vcpu.Run().Reason == VcpuExitReason.Interrupted)
                    interrupted.Release();
            }

            guest.Vcpu.Unbind();
        });
        for (var kick = 0; kick < 200; kick++)
        {
            Assert.True(entering.Wait(s_limit), $"The vCPU did not enter before kick {kick}.");
            // Some kicks come before KVM_RUN, some inside it, some in between.
            Thread.SpinWait(kick % 20 * 100);
            if (kick == 199)
                Volatile.Write(ref stop, true);
            guest.Vcpu.Kick();
            Assert.True(interrupted.Wait(s_limit), $"Kick {kick} was lost.");
        }

        Assert.True(thread.Join(s_limit));
    }

    [ContractFact]
    public void Kicks_before_a_run_end_that_run_and_no_other()
    {
        using var guest = Guest(s_outLoop);
        var reasons = new List<VcpuExitReason>();
        OnBoundThread(guest.Vcpu, () =>
        {
            guest.Vcpu.Kick();
            guest.Vcpu.Kick();
            reasons.Add(guest.Vcpu.Run().Reason);
            reasons.Add(guest.Vcpu.Run().Reason);
        });
        Assert.Equal([VcpuExitReason.Interrupted, VcpuExitReason.Io], reasons);
    }

    [ContractFact]
    public void A_kick_during_an_exit_comes_after_its_io_is_finished()
    {
        // in eax, dx; jmp to itself
        using var guest = Guest(0xed, 0xeb, 0xfe);
        var rip = 0ul;
        OnBoundThread(guest.Vcpu, () =>
        {
            guest.Vcpu.Run().Data[0] = 0x77;
            guest.Vcpu.Kick();
            Assert.Equal(VcpuExitReason.Interrupted, guest.Vcpu.Run().Reason);
            rip = guest[Rip];
        });
        Assert.Equal((CodeAddress + 1, 0x77ul), (rip, guest[Rax]));
    }

    [ContractFact]
    public void A_kick_at_a_vcpu_without_a_thread_does_nothing()
    {
        using var guest = Guest(s_outLoop);
        guest.Vcpu.Kick();
        var reason = VcpuExitReason.Unknown;
        OnThread(guest.Vcpu.BindToCurrentThread).Join();
        guest.Vcpu.Kick();
        guest.Vcpu.Unbind();
        guest.Vcpu.Kick();
        OnBoundThread(guest.Vcpu, () => reason = guest.Vcpu.Run().Reason);
        Assert.Equal(VcpuExitReason.Io, reason);
    }

    [ContractFact]
    public void A_thread_is_bound_to_one_vcpu_at_a_time()
    {
        using var guest = new UserModeGuest(_kvm, InterruptChip.None, 2, s_loop);
        OnBoundThread(guest.Vcpus[0], () =>
        {
            Assert.Throws<InvalidOperationException>(guest.Vcpus[0].BindToCurrentThread);
            Assert.Throws<InvalidOperationException>(guest.Vcpus[1].BindToCurrentThread);
        });
        OnBoundThread(guest.Vcpus[1], () => { });
    }

    [ContractFact]
    public void A_vcpu_that_waits_to_be_started_sleeps_until_it_is_kicked()
    {
        using var guest = new UserModeGuest(_kvm, InterruptChip.Full, 2, s_loop);
        // KVM_MP_STATE_UNINITIALIZED
        guest.Vcpus[1].Set(KvmRequests.SetMpState, [1, 0, 0, 0]);
        using var bound = new SemaphoreSlim(0);
        var reason = VcpuExitReason.Unknown;
        var thread = OnThread(() =>
        {
            guest.Vcpus[1].BindToCurrentThread();
            bound.Release();
            reason = guest.Vcpus[1].Run().Reason;
            guest.Vcpus[1].Unbind();
        });
        Assert.True(bound.Wait(s_limit));
        Thread.SpinWait(20_000);
        guest.Vcpus[1].Kick();
        Assert.True(thread.Join(s_limit));
        Assert.Equal(VcpuExitReason.Interrupted, reason);
    }

    [ContractFact]
    public void Exchanged_words_are_never_in_two_places()
    {
        // Two vCPUs pass one token between memory and a register of their own: xchg [rdi], rbx; jmp back.
        using var guest = new UserModeGuest(_kvm, InterruptChip.None, 2, 0x48, 0x87, 0x1f, 0xeb, 0xfb);
        foreach (var vcpu in guest.Vcpus)
            SetRdi(vcpu, 0x10_0000);
        guest.Memory.Write(0x10_0000, [1]);
        using var bound = new CountdownEvent(2);
        var threads = guest.Vcpus.Select(vcpu => OnThread(() =>
        {
            vcpu.BindToCurrentThread();
            bound.Signal();
            vcpu.Run();
            vcpu.Unbind();
        })).ToArray();
        Assert.True(bound.Wait(s_limit));
        Thread.SpinWait(200_000);
        foreach (var (vcpu, thread) in guest.Vcpus.Zip(threads))
        {
            vcpu.Kick();
            Assert.True(thread.Join(s_limit));
        }

        var slot = new byte[8];
        guest.Memory.Read(0x10_0000, slot);
        Assert.Equal(1, slot[0] + guest.Vcpus.Sum(vcpu => (int)RegsOf(vcpu)[8]));
    }

    [ContractFact]
    public void A_disposed_vcpu_refuses_every_call_and_ignores_kicks()
    {
        using var guest = Guest(s_loop);
        guest.Vcpu.Dispose();
        guest.Vcpu.Dispose();
        Assert.Throws<ObjectDisposedException>(() => { guest.Vcpu.Run(); });
        Assert.Throws<ObjectDisposedException>(() => guest.Vcpu.ImmediateExit);
        Assert.Throws<ObjectDisposedException>(() => guest.Get(KvmRequests.GetRegs));
        guest.Vcpu.Kick();
    }

    private static void SetRdi(IVcpu vcpu, ulong value)
    {
        var regs = RegsOf(vcpu);
        System.Buffers.Binary.BinaryPrimitives.WriteUInt64LittleEndian(regs.AsSpan(8 * Rdi), value);
        vcpu.Set(KvmRequests.SetRegs, regs);
    }

    private static byte[] RegsOf(IVcpu vcpu)
    {
        var regs = new byte[KvmRequests.GetRegs.ArgumentSize];
        vcpu.Get(KvmRequests.GetRegs, regs);
        return regs;
    }

    private static Thread OnThread(Action action)
    {
        var thread = new Thread(() => action()) { IsBackground = true };
        thread.Start();
        return thread;
    }

    private static void OnBoundThread(IVcpu vcpu, Action action)
    {
        Exception? failure = null;
        var thread = OnThread(() => failure = Record.Exception(() =>
        {
            vcpu.BindToCurrentThread();
            action();
            vcpu.Unbind();
        }));
        Assert.True(thread.Join(s_limit));
        Assert.Null(failure);
    }

    private UserModeGuest Guest(params byte[] code) => new(_kvm, InterruptChip.None, 1, code);
}
