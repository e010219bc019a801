using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;

namespace Checkpoint.Kvm.Tests.Contracts;

[NeedsKvm]
public sealed class LinuxX64VcpuTests() : VcpuContract(SystemHandle.Open());

public sealed class SimulatedX64VcpuTests() : VcpuContract(new SimulatedKvm());
