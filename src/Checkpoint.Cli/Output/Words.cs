using System.Diagnostics;
using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Output;

/// <summary>The words that stand for the product's enumerations, in JSON and in tables alike.</summary>
internal static class Words
{
    public static string Of(CheckpointMode mode) => mode == CheckpointMode.Full ? "full" : "incremental";

    public static string Of(MemoryWay way) => way.ToString().ToLowerInvariant();

    public static string Of(CheckpointTrigger trigger) => trigger == CheckpointTrigger.Schedule ? "schedule" : "request";

    public static string Of(MachineArchitecture architecture) => architecture == MachineArchitecture.X64 ? "x64" : "arm64";

    public static string Of(GuestKind kind) => kind.ToString().ToLowerInvariant();

    public static string Of(MachineNotice notice) => notice switch
    {
        MachineNotice.AppendUnknown => "append-unknown",
        MachineNotice.StoreAway => "store-away",
        MachineNotice.StoreBack => "store-back",
        MachineNotice.StoreGivenUp => "store-given-up",
        MachineNotice.StoreSilent => "store-silent",
        _ => throw new UnreachableException($"Unknown notice {notice.GetType().Name}."),
    };

    public static string Of(InterruptChip chip) => chip switch
    {
        InterruptChip.Full => "full",
        InterruptChip.GicV3 => "gicv3",
        InterruptChip.Split => "split",
        _ => "none",
    };
}
