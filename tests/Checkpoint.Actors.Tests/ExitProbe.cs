using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Tests;

/// <summary>Counts each vCPU's exits before the guest's own handler takes them; exits come by steps, so a count that grows is a vCPU that runs.</summary>
internal sealed class ExitProbe(IExitHandler guest, int vcpus) : IExitHandler
{
    private readonly long[] _counts = new long[vcpus];

    /// <summary>Called with the vCPU and the number of its exit, from 1; it may throw or block.</summary>
    public Action<int, long> On { get; set; } = (_, _) => { };

    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        On(vcpu, Interlocked.Increment(ref _counts[vcpu]));
        return guest.Handle(vcpu, exit);
    }

    public long CountOf(int vcpu) => Interlocked.Read(ref _counts[vcpu]);

    public Task AllVcpusGoOnAsync() => GoOnAsync([.. Enumerable.Range(0, vcpus)]);

    /// <summary>Waits until these vCPUs have made several further exits.</summary>
    public async Task GoOnAsync(params int[] which)
    {
        var goals = which.ToDictionary(vcpu => vcpu, vcpu => CountOf(vcpu) + 3);
        await Eventually.IsTrueAsync(() => goals.All(goal => CountOf(goal.Key) >= goal.Value), "the vCPUs run");
    }
}

internal static class Eventually
{
    /// <summary>Waits for what must become true; the limit is for a defect, not for a slow host.</summary>
    public static async Task IsTrueAsync(Func<bool> condition, string what)
    {
        var begun = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < TimeSpan.FromSeconds(30), $"never came true: {what}");
            await Task.Delay(2);
        }
    }
}
