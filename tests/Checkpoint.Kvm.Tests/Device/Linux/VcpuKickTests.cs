using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Device.Linux;

/// <summary>What the contract of every vCPU does not ask of kicks: many threads at once.</summary>
public sealed class VcpuKickTests
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(10);
    private static readonly byte[] s_loop = [0xeb, 0xfe];

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

    private static Thread OnThread(Action action)
    {
        var thread = new Thread(() => action()) { IsBackground = true };
        thread.Start();
        return thread;
    }
}
