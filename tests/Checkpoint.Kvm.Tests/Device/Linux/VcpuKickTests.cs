using System.Diagnostics;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class VcpuKickTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);
    private static readonly byte[] s_loop = [0xeb, 0xfe];

    [KvmFact]
    public void Two_hundred_kicks_end_two_hundred_runs()
    {
        using var guest = new RealModeGuest(s_loop);
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
            Thread.SpinWait(kick % 20 * 300);
            if (kick == 199)
                Volatile.Write(ref stop, true);
            guest.Vcpu.Kick();
            Assert.True(interrupted.Wait(s_limit), $"Kick {kick} was lost.");
        }

        Assert.True(thread.Join(s_limit));
    }

    [KvmFact]
    public void Kicks_from_many_threads_lose_no_request()
    {
        using var guest = new RealModeGuest(s_loop);
        var wanted = 0;
        var answered = 0;
        var stop = false;
        using var answer = new SemaphoreSlim(0);
        using var bound = new ManualResetEventSlim();
        var thread = OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            bound.Set();
            while (!Volatile.Read(ref stop))
            {
                guest.Vcpu.Run();
                var seen = Interlocked.Exchange(ref wanted, 0);
                answered += seen;
                if (seen > 0)
                    answer.Release(seen);
            }

            guest.Vcpu.Unbind();
        });

        Assert.True(bound.Wait(s_limit));
        var kickers = Enumerable.Range(0, 4).Select(_ => OnThread(() =>
        {
            for (var kick = 0; kick < 100; kick++)
            {
                Interlocked.Increment(ref wanted);
                guest.Vcpu.Kick();
                if (!answer.Wait(s_limit))
                    return;
            }
        })).ToArray();
        Assert.All(kickers, kicker => Assert.True(kicker.Join(s_limit * 2)));
        Volatile.Write(ref stop, true);
        guest.Vcpu.Kick();
        Assert.True(thread.Join(s_limit));
        Assert.Equal(400, answered);
    }

    [KvmFact]
    public void A_kick_before_the_run_ends_it()
    {
        using var guest = new RealModeGuest(s_loop);
        var reasons = new List<VcpuExitReason>();
        var thread = OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            guest.Vcpu.Kick();
            guest.Vcpu.Kick();
            reasons.Add(guest.Vcpu.Run().Reason);
            guest.Vcpu.Kick();
            reasons.Add(guest.Vcpu.Run().Reason);
            guest.Vcpu.Unbind();
        });
        Assert.True(thread.Join(s_limit));
        Assert.Equal([VcpuExitReason.Interrupted, VcpuExitReason.Interrupted], reasons);
    }

    [KvmFact]
    public void A_consumed_kick_does_not_end_a_second_run()
    {
        // out 0x42, al; jmp back
        using var guest = new RealModeGuest(0xe6, 0x42, 0xeb, 0xfc);
        var reasons = new List<VcpuExitReason>();
        var thread = OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            guest.Vcpu.Kick();
            guest.Vcpu.Kick();
            reasons.Add(guest.Vcpu.Run().Reason);
            reasons.Add(guest.Vcpu.Run().Reason);
            guest.Vcpu.Unbind();
        });
        Assert.True(thread.Join(s_limit));
        Assert.Equal([VcpuExitReason.Interrupted, VcpuExitReason.Io], reasons);
    }

    [KvmFact]
    public void A_kick_at_an_unbound_vcpu_does_nothing()
    {
        // out 0x42, al; jmp back
        using var guest = new RealModeGuest(0xe6, 0x42, 0xeb, 0xfc);
        guest.Vcpu.Kick();
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
        OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            guest.Vcpu.Kick();
            guest.Vcpu.Unbind();
        }).Join();
        guest.Vcpu.Kick();
        Assert.Equal(VcpuExitReason.Io, guest.Vcpu.Run().Reason);
    }

    [KvmFact]
    public void A_thread_that_ended_bound_is_not_signalled_and_can_be_replaced()
    {
        using var guest = new RealModeGuest(0xe6, 0x42, 0xeb, 0xfc);
        OnThread(guest.Vcpu.BindToCurrentThread).Join();
        guest.Vcpu.Kick();
        guest.Vcpu.Unbind();
        var reason = VcpuExitReason.Unknown;
        OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            reason = guest.Vcpu.Run().Reason;
            guest.Vcpu.Unbind();
        }).Join();
        Assert.Equal(VcpuExitReason.Io, reason);
    }

    [KvmFact]
    public void Binding_and_kicking_may_race()
    {
        using var guest = new RealModeGuest(0xe6, 0x42, 0xeb, 0xfc);
        var stop = false;
        var kicker = OnThread(() =>
        {
            while (!Volatile.Read(ref stop))
                guest.Vcpu.Kick();
        });
        for (var round = 0; round < 20; round++)
        {
            OnThread(() =>
            {
                guest.Vcpu.BindToCurrentThread();
                guest.Vcpu.Run();
                guest.Vcpu.Unbind();
            }).Join();
        }

        Volatile.Write(ref stop, true);
        Assert.True(kicker.Join(s_limit));
    }

    [KvmFact]
    public void One_thread_is_bound_to_one_vcpu_at_a_time()
    {
        using var guest = new RealModeGuest(s_loop);
        using var second = guest.Vm.CreateVcpu(1, 1);
        Exception? refused = null;
        OnThread(() =>
        {
            guest.Vcpu.BindToCurrentThread();
            refused = Record.Exception(second.BindToCurrentThread);
            guest.Vcpu.Unbind();
            second.BindToCurrentThread();
            second.Unbind();
        }).Join();
        Assert.IsType<InvalidOperationException>(refused);
    }

    private static Thread OnThread(Action action)
    {
        var thread = new Thread(() => action()) { IsBackground = true };
        thread.Start();
        return thread;
    }
}
