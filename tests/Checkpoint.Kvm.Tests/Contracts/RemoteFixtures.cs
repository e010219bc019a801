using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;
using Checkpoint.Remote;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>The agents that the fixtures share: one of this machine, one of an emulated arm64 machine. They end with the process.</summary>
internal static class Agents
{
    private static readonly Lazy<AgentHost> s_local = new(AgentHost.StartLocal);
    private static readonly Lazy<AgentHost> s_arm64 = new(() => AgentHost.StartArm64(processors: 2));

    static Agents() => AppDomain.CurrentDomain.ProcessExit += (_, _) =>
    {
        foreach (var host in (Lazy<AgentHost>[])[s_local, s_arm64])
        {
            if (host.IsValueCreated)
                host.Value.Dispose();
        }
    };

    internal static IKvm Local() => RemoteKvm.Open(s_local.Value.Connection);

    internal static IKvm Arm64() => RemoteKvm.Open(s_arm64.Value.Connection);
}

[NeedsLocalAgent]
public sealed class RemoteX64VcpuTests() : VcpuContract(Agents.Local());

[NeedsLocalAgent]
public sealed class RemoteX64VcpuStateTests() : VcpuStateContract(Agents.Local());

[NeedsLocalAgent]
public sealed class RemoteX64VmTests() : VmContract(Agents.Local());

[NeedsLocalAgent]
public sealed class RemoteX64MemoryTests() : MemoryContract(Agents.Local());

[NeedsLocalAgent]
public sealed class RemoteX64MachineTests() : MachineContract(Agents.Local());

[NeedsArm64Kernel]
public sealed class RemoteArm64MemoryTests() : MemoryContract(Agents.Arm64());

[NeedsArm64Kernel]
public sealed class RemoteArm64MachineTests() : MachineContract(Agents.Arm64(), MachineArchitecture.Arm64);
