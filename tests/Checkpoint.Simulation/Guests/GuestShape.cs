using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Simulation.Kernel;
using Checkpoint.Simulation.Scheduling;

namespace Checkpoint.Simulation.Guests;

/// <summary>What a machine of a simulation is like, in all its lives.</summary>
/// <param name="Architecture">x86-64 or arm64.</param>
/// <param name="Chip">Its interrupt controller.</param>
/// <param name="ManyRegs">Whether its kernel has the batch calls.</param>
/// <param name="Guest">The program that it runs.</param>
/// <param name="DmaAddress">Where the device with a thread of its own writes.</param>
/// <param name="HasDma">Whether it has that.</param>
/// <param name="CapturesAtOnce">Whether the device without threads says so, and never fails: then a vCPU's thread may capture the machine.</param>
/// <param name="Options">Deadlines, retention, modes.</param>
internal sealed record GuestShape(
    MachineArchitecture Architecture,
    InterruptChip Chip,
    SimulatedManyRegs ManyRegs,
    GuestOptions Guest,
    ulong DmaAddress,
    bool HasDma,
    bool CapturesAtOnce,
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
            random.Chance(0.6),
            s_deadlines with
            {
                Mode = random.Chance(0.6) ? CheckpointMode.Incremental : CheckpointMode.Full,
                MaxChain = 1 + random.Below(5),
                Keep = random.Chance(0.6) ? 1 + random.Below(4) : null,
            });
    }

    /// <summary>A kernel for one machine of this shape, with what goes wrong in it.</summary>
    public IKvm CreateKernel(World world, MachineProbe probe)
    {
        var kvm = new SimulatedKvm(new SimulatedKvmOptions
        {
            Architecture = Architecture,
            ManyRegs = ManyRegs,
            Seed = world.Random.Next(),
            Slice = new SimulatedSlice(1, 80),
        });
        return new FaultyKvm(new ProbedKvm(kvm, probe), world.Faults.Plan, probe.Name);
    }
}
