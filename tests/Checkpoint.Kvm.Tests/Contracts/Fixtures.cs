using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Contracts;

[NeedsKvm]
public sealed class LinuxX64VcpuTests() : VcpuContract(SystemHandle.Open());

[NeedsKvm]
public sealed class LinuxX64VcpuStateTests() : VcpuStateContract(SystemHandle.Open());

[NeedsKvm]
public sealed class LinuxX64VmTests() : VmContract(SystemHandle.Open());

[NeedsKvm]
public sealed class LinuxMemoryTests() : MemoryContract(SystemHandle.Open());

[NeedsKvm]
public sealed class LinuxX64MachineTests() : MachineContract(SystemHandle.Open());

[NeedsKvm]
public sealed class LinuxX64SyncRegsTests() : SyncRegsContract(SystemHandle.Open())
{
    // Not every backend of KVM has 32-bit paging.
    protected override bool AlwaysTakesPae => false;
}

[NeedsKvm]
public sealed class LinuxX64TscTests() : TscContract(SystemHandle.Open());

public sealed class SimulatedX64SyncRegsTests() : SyncRegsContract(new SimulatedKvm());

public sealed class SimulatedX64TscTests() : TscContract(new SimulatedKvm())
{
    protected override bool KeepsOffsets()
    {
        Assert.True(base.KeepsOffsets());
        return true;
    }
}

[NeedsKvm]
public sealed class LinuxX64MemoryCaptureTests() : MemoryCaptureContract(SystemHandle.Open());

public sealed class SimulatedX64MemoryCaptureTests() : MemoryCaptureContract(new SimulatedKvm());

public sealed class SimulatedArm64MemoryCaptureTests()
    : MemoryCaptureContract(new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 }), MachineArchitecture.Arm64);

[NeedsUserfaultfd]
public sealed class LinuxX64LazyMemoryTests() : LazyMemoryContract(SystemHandle.Open());

public sealed class SimulatedX64LazyMemoryTests() : LazyMemoryContract(new SimulatedKvm());

public sealed class SimulatedArm64LazyMemoryTests()
    : LazyMemoryContract(new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 }), MachineArchitecture.Arm64);

public sealed class SimulatedX64VcpuTests() : VcpuContract(new SimulatedKvm());

public sealed class SimulatedX64VcpuStateTests() : VcpuStateContract(new SimulatedKvm());

public sealed class SimulatedX64VmTests() : VmContract(new SimulatedKvm());

public sealed class SimulatedX64MemoryTests() : MemoryContract(new SimulatedKvm());

public sealed class SimulatedX64MachineTests() : MachineContract(new SimulatedKvm(new() { ManyRegs = SimulatedManyRegs.Present }));

public sealed class SimulatedArm64MemoryTests() : MemoryContract(new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64 }));

public sealed class SimulatedArm64MachineTests()
    : MachineContract(new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, ManyRegs = SimulatedManyRegs.Present }), MachineArchitecture.Arm64);
