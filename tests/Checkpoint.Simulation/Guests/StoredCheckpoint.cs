using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Simulation.Workload;
using Checkpoint.Storage;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Simulation.Guests;

/// <summary>A checkpoint as an onlooker reads it from the disk, past everything that goes wrong, to be held against its moment.</summary>
internal sealed class StoredCheckpoint
{
    private readonly GuestShape _shape;
    private readonly StateDocument _document;
    private readonly byte[] _memory;
    private readonly SeenMoment _moment;

    private StoredCheckpoint(GuestShape shape, StateDocument document, byte[] memory, SeenMoment moment, bool isBuiltOnOthers)
    {
        _shape = shape;
        _document = document;
        _memory = memory;
        _moment = moment;
        IsBuiltOnOthers = isBuiltOnOthers;
    }

    /// <summary>Whether it is an increment.</summary>
    public bool IsBuiltOnOthers { get; }

    /// <summary>Reads one; null, and why, where it cannot be read.</summary>
    public static StoredCheckpoint? Read(World world, Tenant tenant, MachineEvent.CheckpointCommitted checkpoint, out string? reason)
    {
        if (world.LastRead is { } last && ReferenceEquals(last.Of, checkpoint))
        {
            reason = null;
            return last.Found;
        }

        reason = null;
        try
        {
            // Nothing takes time for an onlooker: the tasks have ended.
            var document = world.Onlooker.LoadAsync(tenant.Name, checkpoint).GetAwaiter().GetResult();
            var memory = new byte[tenant.Shape.Guest.MemoryBytes];
            using (var stored = StoredMemory.Open(world.Onlooker.Segments, tenant.Name, tenant.ReadHistory(), checkpoint))
                stored.Read(0, memory);
            var number = Oracle.NumberOf(StateOf(document, Oracle.DeviceName).Span);
            var found = new StoredCheckpoint(tenant.Shape, document, memory, world.MomentAt(number), checkpoint.Mode == CheckpointMode.Incremental);
            world.LastRead = (checkpoint, found);
            return found;
        }
        catch (Exception failure) when (failure is StoreException or IntegrityException)
        {
            reason = failure.Message;
            return null;
        }
    }

    /// <summary>The first register that is not as it was; null: none.</summary>
    public string? DifferenceOfRegisters()
    {
        for (var vcpu = 0; vcpu < _document.Vcpus.Length; vcpu++)
        {
            var found = Oracle.RegistersOf(_shape.Architecture, _document.Vcpus[vcpu]);
            for (var i = 0; i < found.Length; i++)
            {
                if (found[i] != _moment.Registers[vcpu][i])
                    return $"register {i} of vCPU {vcpu} was 0x{_moment.Registers[vcpu][i]:x} at that moment and is 0x{found[i]:x}";
            }
        }

        return null;
    }

    /// <summary>The first page that is not as it was; null: none.</summary>
    public string? DifferenceOfMemory()
    {
        for (var page = 0; page < _moment.Pages.Length; page++)
        {
            if (Oracle.NumberOfPage(_memory.AsSpan(page * MemoryRegion.PageBytes, MemoryRegion.PageBytes)) != _moment.Pages[page])
                return $"page 0x{page * MemoryRegion.PageBytes:x} is not what it was at that moment";
        }

        return null;
    }

    /// <summary>What in it contradicts itself, by the guest's own rules; null: nothing.</summary>
    public string? Contradiction()
    {
        var (kind, options, state) = GuestState.Read(StateOf(_document, GuestMachine.DeviceName).Span);
        var device = new SequenceDevice(options.Vcpus);
        device.RestoreState(state);
        var verdict = GuestProgram.Create(kind, options, _document.Machine.Vcpus[0].Features)
            .Verify((address, to) => _memory.AsSpan((int)address, to.Length).CopyTo(to), _document.Vcpus, device);
        if (!verdict.Ok)
            return verdict.Failures[0];
        if (!_shape.HasDma)
            return null;
        var (count, written) = (DmaDevice.CountOf(StateOf(_document, DmaDevice.DeviceName).Span), DmaDevice.CountOf(_memory.AsSpan((int)_shape.DmaAddress)));
        return count == written ? null : $"the device has counted {count}, and {written} stands in memory";
    }

    private static ReadOnlyMemory<byte> StateOf(StateDocument document, string device) => document.Devices.Single(each => each.Name == device).State;
}
