using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.FaultSoak;

/// <summary>What machines of a rehearsal are made of.</summary>
/// <param name="Name">For reports: <c>sim-x64</c>.</param>
/// <param name="Architecture">The architecture.</param>
/// <param name="Open">Opens the kernel, without faults.</param>
internal sealed record Bed(string Name, MachineArchitecture Architecture, Func<IKvm> Open)
{
    private const ulong SimulatedExitEverySteps = 1 << 10;

    /// <summary>How many vCPUs a machine has.</summary>
    public const int Vcpus = 2;

    public static Bed Kvm { get; } = new("kvm", MachineArchitecture.X64, () => SystemHandle.Open());

    public static Bed SimulatedX64 { get; } = Simulated("sim-x64", MachineArchitecture.X64, SimulatedManyRegs.Absent);

    public static Bed SimulatedX64Batched { get; } = Simulated("sim-x64-many", MachineArchitecture.X64, SimulatedManyRegs.Counting);

    public static Bed SimulatedArm64 { get; } = Simulated("sim-arm64", MachineArchitecture.Arm64, SimulatedManyRegs.Absent);

    public static Bed SimulatedArm64Batched { get; } = Simulated("sim-arm64-many", MachineArchitecture.Arm64, SimulatedManyRegs.Counting);

    public static IReadOnlyList<Bed> All { get; } = [SimulatedX64, SimulatedX64Batched, SimulatedArm64, SimulatedArm64Batched, Kvm];

    public bool IsSimulated => Name.StartsWith("sim", StringComparison.Ordinal);

    public GuestOptions GuestOf(ulong seed) => new()
    {
        Vcpus = Vcpus,
        Seed = seed,
        Architecture = Architecture,
        MemoryBytes = 2UL << 20,
        ExitEverySteps = IsSimulated ? SimulatedExitEverySteps : null,
    };

    private static Bed Simulated(string name, MachineArchitecture architecture, SimulatedManyRegs manyRegs) =>
        new(name, architecture, () => new SimulatedKvm(new SimulatedKvmOptions { Architecture = architecture, ManyRegs = manyRegs }));
}
