using Checkpoint.Protocol.Faults;

namespace Checkpoint.FaultSoak;

/// <summary>The faults of one life.</summary>
internal static class RandomFaults
{
    private const int MostRules = 4;
    private const int MostHangingVcpus = 2;
    private static readonly int[] s_errnos = [5, 12, 14, 16, 19, 22, 28];

    private static readonly string[] s_hanging =
        ["KVM_GET_REGS", "KVM_GET_CLOCK", "KVM_GET_DIRTY_LOG", FaultCalls.DevicePark, FaultCalls.DeviceCapture, FaultCalls.FileSync, FaultCalls.JournalAppend, FaultCalls.ExitHandle];

    /// <summary>Each makes one rule.</summary>
    private static readonly Action<FaultPlan, Random, int>[] s_kinds =
    [
        (plan, random, _) => At(plan, "KVM_GET_*", random, 60).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, "KVM_SET_*", random, 60).Fail(Pick(random, s_errnos)),
        // While a machine is built this is how a kernel says that it has no such MSR, where it says so again and again: then its
        // checkpoints are those of another host.
        (plan, random, _) => plan.On("KVM_GET_MSRS", call: random.Next(1, 8)).Times(random.Next(1, 4)).Fail(22, afterRegisters: random.Next(40)),
        (plan, random, _) => At(plan, "KVM_SET_MSRS", random, 3).Fail(22, afterRegisters: random.Next(40)),
        (plan, random, _) => At(plan, "KVM_*", random, 200).Delay(TimeSpan.FromMilliseconds(random.Next(1, 200))),
        (plan, random, _) => At(plan, "KVM_RUN", random, 400).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, "KVM_RUN", random, 400).Hang(),
        (plan, random, _) => At(plan, "KVM_RUN", random, 400).TripleFault(),
        (plan, random, _) => At(plan, "KVM_RUN", random, 400).ExitWithInternalError(),
        (plan, random, _) => At(plan, "KVM_*", random, 400).Die(),
        (plan, random, _) => At(plan, "KVM_*", random, 400).LoseMachine(random.Next(2) == 0 ? 5 : 19),
        (plan, random, _) => At(plan, FaultCalls.VcpuPark, random, 12).Delay(TimeSpan.FromMilliseconds(random.Next(1, 700))),
        (plan, random, _) => At(plan, "KVM_GET_DIRTY_LOG", random, 20).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, "KVM_CLEAR_DIRTY_LOG", random, 20).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, "memory.*", random, 80).Fail(14),
        (plan, random, _) => At(plan, FaultCalls.Userfaultfd, random, 4).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, FaultCalls.WriteProtect, random, 12).Fail(Pick(random, s_errnos)),
        (plan, random, _) => At(plan, FaultCalls.WriteProtect, random, 12).Delay(TimeSpan.FromMilliseconds(random.Next(1, 200))),
        (plan, random, _) => At(plan, FaultCalls.Kick, random, 12).Fail(11),
        (plan, random, _) => At(plan, FaultCalls.ExitHandle, random, 400).Delay(TimeSpan.FromMilliseconds(random.Next(1, 700))),
        (plan, random, _) => At(plan, FaultCalls.ExitHandle, random, 400).Fail(5),
        (plan, random, _) => At(plan, "device.*", random, 24).Fail(5),
        (plan, random, _) => At(plan, "device.*", random, 24).Delay(TimeSpan.FromMilliseconds(random.Next(1, 700))),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).Refuse(),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).EndUnknown(),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).LoseConnectionBeforeCommit(),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).LoseConnectionAfterCommit(),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).FailSync(),
        (plan, random, _) => At(plan, FaultCalls.JournalAppend, random, 16).Fail(28),
        (plan, random, _) => At(plan, "journal.*", random, 30).Delay(TimeSpan.FromMilliseconds(random.Next(1, 200))),
        (plan, random, _) => Away(plan, random),
        (plan, random, _) => At(plan, FaultCalls.FileWrite, random, 40).Fail(28),
        (plan, random, _) => At(plan, FaultCalls.FileSync, random, 12).Fail(5),
        (plan, random, _) => At(plan, FaultCalls.FolderSync, random, 12).Fail(5),
        (plan, random, _) => At(plan, FaultCalls.FileRename, random, 12).Fail(5),
        (plan, random, _) => At(plan, FaultCalls.FileDelete, random, 3).Fail(5),
        (plan, random, _) => At(plan, FaultCalls.FileSync, random, 12).Delay(TimeSpan.FromMilliseconds(random.Next(1, 1500))),
        (plan, random, vcpus) => plan.On(FaultCalls.VcpuPark, vcpu: random.Next(Math.Min(vcpus, MostHangingVcpus)), call: random.Next(1, 12)).Hang(),
        (plan, random, _) => plan.On(Pick(random, s_hanging), call: random.Next(1, 12)).Hang(),
        (plan, random, _) => At(plan, FaultCalls.FileOpen, random, 16).Fail(24),
        (plan, random, _) => At(plan, FaultCalls.FileRead, random, 30).Fail(5),
    ];

    /// <summary>Makes one to four rules.</summary>
    /// <param name="plan">Takes them.</param>
    /// <param name="random">Where they come from.</param>
    /// <param name="vcpus">Of how many vCPUs they may be: a rule about one that there is not is a mistake of whoever wrote it.</param>
    public static void Arm(FaultPlan plan, Random random, int vcpus)
    {
        var rules = random.Next(1, MostRules + 1);
        for (var i = 0; i < rules; i++)
            s_kinds[random.Next(s_kinds.Length)](plan, random, vcpus);
    }

    // At one call, at some, at all from one on, or at each with a probability.
    private static FaultTrigger At(FaultPlan plan, string call, Random random, int most) => random.Next(4) switch
    {
        0 => plan.On(call, call: random.Next(1, most)),
        1 => plan.On(call, call: random.Next(1, most)).Times(random.Next(1, 4)),
        2 => plan.On(call, call: random.Next(1, most)).AndAfter().WithProbability(0.5),
        _ => plan.On(call).WithProbability(1.0 / most),
    };

    // An append whose end is not known, and a journal that cannot be read for a while after it.
    private static void Away(FaultPlan plan, Random random)
    {
        plan.On(FaultCalls.JournalAppend, call: random.Next(2, 16)).EndUnknown();
        plan.On(FaultCalls.JournalProve, call: 1).Times(random.Next(1, 6)).Fail(5);
    }

    private static T Pick<T>(Random random, T[] from) => from[random.Next(from.Length)];
}
