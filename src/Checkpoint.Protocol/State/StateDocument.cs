using System.Collections.Immutable;

namespace Checkpoint.Protocol.State;

/// <summary>What a device participant gave at a checkpoint.</summary>
/// <param name="Name">The name under which the device was registered.</param>
/// <param name="State">The device's own bytes; the engine does not look inside.</param>
public sealed record DeviceState(string Name, ReadOnlyMemory<byte> State);

/// <summary>Everything of a checkpoint but the guest's memory.</summary>
/// <param name="Machine">How to build the machine.</param>
/// <param name="Vm">The VM's own state: clock and interrupt chips.</param>
/// <param name="Vcpus">The vCPUs' states, in the order of <see cref="MachineDescription.Vcpus"/>.</param>
/// <param name="Devices">The devices' states, in the order in which they were registered.</param>
public sealed record StateDocument(
    MachineDescription Machine,
    StateList Vm,
    ImmutableArray<StateList> Vcpus,
    ImmutableArray<DeviceState> Devices);
