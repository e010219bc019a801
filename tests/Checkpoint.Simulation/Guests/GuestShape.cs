using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Guests;

/// <summary>What a machine of a simulation is like, in all its lives.</summary>
internal sealed record GuestShape(
    MachineArchitecture Architecture,
    InterruptChip Chip,
    SimulatedManyRegs ManyRegs,
    GuestOptions Guest,
    ulong DmaAddress,
    bool HasDma,
    CoordinatorOptions Options)
{
    private const int MostVcpus = 4;

    // Everything in microseconds and milliseconds: virtual time costs nothing, but guests run while it passes.
    private static readonly CoordinatorOptions s_deadlines = new()
    {
        PrepareDeadline = TimeSpan.FromMilliseconds(10),
        ParkDeadline = TimeSpan.FromMilliseconds(4),
        CaptureDeadline = TimeSpan.FromMilliseconds(4),
        ResumeDeadline = TimeSpan.FromMilliseconds(2),
        StoreGrace = TimeSpan.FromMicroseconds(200),
        RecoverDeadline = TimeSpan.FromSeconds(1),
    };

    /// <summary>Draws one.</summary>
    public static GuestShape Draw(SeededRandom random)
    {
        var architecture = random.Chance(0.5) ? MachineArchitecture.X64 : MachineArchitecture.Arm64;
        var hasChip = random.Chance(0.3);
        var options = new GuestOptions
        {
            Architecture = architecture,
            Vcpus = 1 + random.Below(MostVcpus),
            Seed = random.Next(),
            ExitEverySteps = 1UL << random.Below(3),
            MemoryBytes = 64 * MemoryRegion.PageBytes,
        };
        var used = GuestProgram.Create(GuestKind.Ledger, options).UsedMemoryBytes;
        return new GuestShape(
            architecture,
            !hasChip ? InterruptChip.None : architecture == MachineArchitecture.X64 ? InterruptChip.Full : InterruptChip.GicV3,
            random.Chance(0.5) ? SimulatedManyRegs.Present : SimulatedManyRegs.Absent,
            options with { MemoryBytes = used + MemoryRegion.PageBytes },
            used,
            random.Chance(0.6),
            s_deadlines with
            {
                Mode = random.Chance(0.6) ? CheckpointMode.Incremental : CheckpointMode.Full,
                MaxChain = 1 + random.Below(5),
                Keep = random.Chance(0.6) ? 1 + random.Below(4) : null,
            });
    }

    /// <summary>A kernel for one machine of this shape.</summary>
    public SimulatedKvm CreateKernel(SeededRandom random) => new(new SimulatedKvmOptions
    {
        Architecture = Architecture,
        ManyRegs = ManyRegs,
        Seed = random.Next(),
        Slice = new SimulatedSlice(1, 80),
    });
}
