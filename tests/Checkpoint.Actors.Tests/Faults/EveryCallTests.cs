using Checkpoint.FaultSoak;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.Actors.Tests.Faults;

/// <summary>
/// A share of what <c>tests/fault-soak every-call</c> does: each call of the seam and of the store fails on its n-th time, once alone
/// and once lasting, in a life of attach, checkpoints, detach and restore.
/// </summary>
[Collection(GuestCollection.Name)]
public sealed class EveryCallTests
{
    private const long First = 1;

    public static TheoryData<string> StoreCalls => [.. EveryCall.Calls.Where(call => !call.StartsWith("KVM_", StringComparison.Ordinal))];

    public static TheoryData<string> KernelCalls => [.. EveryCall.Calls.Where(call => call.StartsWith("KVM_", StringComparison.Ordinal))];

    [Theory]
    [MemberData(nameof(StoreCalls))]
    public Task Whatever_fails_first_outside_the_kernel_no_invariant_breaks(string call) => WalkAsync(Bed.SimulatedX64, call, First);

    [Theory]
    [MemberData(nameof(KernelCalls))]
    public Task Whichever_call_of_an_x64_kernel_fails_first_no_invariant_breaks(string call) => WalkAsync(Bed.SimulatedX64, call, First);

    [Theory]
    [MemberData(nameof(KernelCalls))]
    public Task Whichever_call_of_an_arm64_kernel_fails_first_no_invariant_breaks(string call) => WalkAsync(Bed.SimulatedArm64Batched, call, First);

    [Theory]
    [InlineData("journal.append")]
    [InlineData("fsync")]
    [InlineData("KVM_GET_DIRTY_LOG")]
    public Task However_late_it_fails_no_invariant_breaks(string call) => WalkAsync(Bed.SimulatedX64, call, long.MaxValue);

    [KvmTheory]
    [InlineData("KVM_RUN")]
    [InlineData("KVM_GET_MSRS")]
    [InlineData("KVM_SET_MSRS")]
    [InlineData("KVM_CREATE_VCPU")]
    [InlineData("KVM_CLEAR_DIRTY_LOG")]
    [InlineData("KVM_SET_SIGNAL_MASK")]
    [InlineData("tgkill")]
    [InlineData("journal.append")]
    public Task On_KVM_whichever_fails_first_no_invariant_breaks(string call) => WalkAsync(Bed.Kvm, call, 2);

    // A call that no life makes needs no second n.
    private static async Task WalkAsync(Bed bed, string call, long most)
    {
        var report = await EveryCall.WalkAsync(bed, call, n => n < most ? n + 1 : null);
        Assert.Empty(report.Broken);
        Assert.True(report.Reached > 0 || !IsMade(bed, call), $"{call} was never made on {bed.Name}");
    }

    // What only other kernels, other machines or other lives ask for.
    private static bool IsMade(Bed bed, string call) => call switch
    {
        "journal.append" or "journal.read" or "fsync" or "pwrite" or "KVM_RUN" or "KVM_CREATE_VCPU" or "tgkill" => true,
        "KVM_GET_MANY_REGS" or "KVM_SET_MANY_REGS" => bed == Bed.SimulatedArm64Batched,
        "KVM_GET_MSRS" or "KVM_SET_MSRS" => bed.Architecture == Protocol.State.MachineArchitecture.X64,
        _ => false,
    };
}
