using System.Collections.Immutable;
using Checkpoint.Protocol.State;

namespace Checkpoint.Storage.Payloads;

/// <summary>The machine description inside a state document.</summary>
internal static class MachineDescriptionCodec
{
    public static void Write(PayloadWriter writer, MachineDescription machine)
    {
        // Machines without a GIC are written as they were before there was one.
        writer.Array(machine.Gic is null ? 8 : 9);
        writer.Integer((int)machine.Architecture);
        var memory = machine.Memory.IsDefault ? [] : machine.Memory;
        writer.Array(memory.Length);
        foreach (var region in memory)
        {
            writer.Array(4);
            writer.Unsigned(region.Slot);
            writer.Unsigned(region.Flags);
            writer.Unsigned(region.GuestAddress);
            writer.Unsigned(region.SizeBytes);
        }

        writer.Integer((int)machine.InterruptChip);
        var vcpus = machine.Vcpus.IsDefault ? [] : machine.Vcpus;
        writer.Array(vcpus.Length);
        foreach (var vcpu in vcpus)
        {
            writer.Array(2);
            writer.Unsigned(vcpu.Id);
            writer.Binary(vcpu.Features.Span);
        }

        var capabilities = machine.Capabilities.IsDefault ? [] : machine.Capabilities;
        writer.Array(capabilities.Length);
        foreach (var capability in capabilities)
            Write(writer, capability);
        writer.Unsigned(machine.TssAddress);
        writer.Unsigned(machine.IdentityMapAddress);
        writer.Binary(machine.GsiRouting.Span);
        if (machine.Gic is not { } gic)
            return;
        writer.Array(3);
        writer.Unsigned(gic.DistributorAddress);
        writer.Unsigned(gic.RedistributorAddress);
        writer.Unsigned(gic.Interrupts);
    }

    public static MachineDescription Read(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "machine");
        var machine = new MachineDescription(
            EventParts.ReadArchitecture(ref record),
            record.Next() ? ReadMemory(ref reader) : [],
            (InterruptChip)record.OneOf((int)InterruptChip.None, (int)InterruptChip.GicV3, "interrupt chip"),
            record.Next() ? ReadVcpus(ref reader) : [],
            record.Next() ? ReadCapabilities(ref reader) : [],
            record.OptionalUnsigned(),
            record.OptionalUnsigned(),
            record.Binary())
        {
            Gic = record.Next() ? ReadGic(ref reader) : null,
        };
        record.End();
        return machine;
    }

    private static GicDescription ReadGic(ref PayloadReader reader)
    {
        var record = new RecordReader(ref reader, "GIC");
        var gic = new GicDescription(record.Unsigned(), record.Unsigned(), record.Unsigned32());
        record.End();
        return gic;
    }

    private static void Write(PayloadWriter writer, EnabledCapability capability)
    {
        writer.Array(3);
        writer.Unsigned(capability.Capability);
        writer.Unsigned(capability.Flags);
        var arguments = capability.Arguments.IsDefault ? [] : capability.Arguments;
        writer.Array(arguments.Length);
        foreach (var argument in arguments)
            writer.Unsigned(argument);
    }

    private static ImmutableArray<MemoryRegion> ReadMemory(ref PayloadReader reader)
    {
        var regions = ImmutableArray.CreateBuilder<MemoryRegion>();
        for (var count = reader.Array(); count > 0; count--)
        {
            var record = new RecordReader(ref reader, "memory region");
            regions.Add(new MemoryRegion(record.Unsigned32(), record.Unsigned32(), record.Unsigned(), record.Unsigned()));
            record.End();
        }

        return regions.ToImmutable();
    }

    private static ImmutableArray<VcpuDescription> ReadVcpus(ref PayloadReader reader)
    {
        var vcpus = ImmutableArray.CreateBuilder<VcpuDescription>();
        for (var count = reader.Array(); count > 0; count--)
        {
            var record = new RecordReader(ref reader, "vCPU");
            vcpus.Add(new VcpuDescription(record.Unsigned32(), record.Binary()));
            record.End();
        }

        return vcpus.ToImmutable();
    }

    private static ImmutableArray<EnabledCapability> ReadCapabilities(ref PayloadReader reader)
    {
        var capabilities = ImmutableArray.CreateBuilder<EnabledCapability>();
        for (var count = reader.Array(); count > 0; count--)
        {
            var record = new RecordReader(ref reader, "capability");
            var number = record.Unsigned32();
            var flags = record.Unsigned32();
            var arguments = ImmutableArray.CreateBuilder<ulong>();
            if (record.Next())
            {
                for (var left = reader.Array(); left > 0; left--)
                    arguments.Add(reader.Unsigned());
            }

            capabilities.Add(new EnabledCapability(number, flags, arguments.ToImmutable()));
            record.End();
        }

        return capabilities.ToImmutable();
    }
}
