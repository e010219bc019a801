using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Protocol.State;

namespace Checkpoint.Storage.Payloads;

/// <summary>
/// State documents to bytes and back. The version is the document's first key, inside what the digest covers. Equal documents
/// give equal bytes.
/// </summary>
public static class StateDocumentCodec
{
    /// <summary>The version of the contract that this program writes.</summary>
    public const int Version = 1;

    private const string Name = "state document";

    /// <summary>Writes the document's bytes.</summary>
    public static void Encode(StateDocument document, IBufferWriter<byte> output)
    {
        var writer = new PayloadWriter(output);
        writer.Array(5);
        writer.Integer(Version);
        MachineDescriptionCodec.Write(writer, document.Machine);
        Write(writer, document.Vm);
        var vcpus = document.Vcpus.IsDefault ? [] : document.Vcpus;
        writer.Array(vcpus.Length);
        foreach (var vcpu in vcpus)
            Write(writer, vcpu);
        var devices = document.Devices.IsDefault ? [] : document.Devices;
        writer.Array(devices.Length);
        foreach (var device in devices)
        {
            writer.Array(2);
            writer.Text(device.Name);
            writer.Binary(device.State.Span);
        }
    }

    /// <summary>The document's bytes, in an array of their own.</summary>
    public static ReadOnlyMemory<byte> Encode(StateDocument document)
    {
        var output = new ArrayBufferWriter<byte>(64 * 1024);
        Encode(document, output);
        return output.WrittenMemory;
    }

    /// <summary>Reads a document back. The values of its items are slices of the payload, which must not change afterwards.</summary>
    /// <exception cref="PayloadException">The bytes are damaged, or of a newer version.</exception>
    public static StateDocument Decode(ReadOnlyMemory<byte> payload)
    {
        var reader = new PayloadReader(payload);
        var record = new RecordReader(ref reader, Name);
        record.OneOf(Version, Version, "version of a state document");
        var machine = record.Next() ? MachineDescriptionCodec.Read(ref reader) : throw new PayloadException("a state document without a machine");
        var vm = record.Next() ? ReadList(ref reader) : StateList.Empty;
        var vcpus = ImmutableArray.CreateBuilder<StateList>();
        if (record.Next())
        {
            for (var count = reader.Array(); count > 0; count--)
                vcpus.Add(ReadList(ref reader));
        }

        var devices = ImmutableArray.CreateBuilder<DeviceState>();
        if (record.Next())
        {
            for (var count = reader.Array(); count > 0; count--)
            {
                var device = new RecordReader(ref reader, "device");
                devices.Add(new DeviceState(device.Text(), device.Binary()));
                device.End();
            }
        }

        record.End();
        reader.End();
        return new StateDocument(machine, vm, vcpus.ToImmutable(), devices.ToImmutable());
    }

    private static void Write(PayloadWriter writer, StateList list)
    {
        writer.Array(list.Count);
        for (var i = 0; i < list.Count; i++)
        {
            writer.Array(2);
            writer.Unsigned(list[i].Id);
            writer.Binary(list[i].Value.Span);
        }
    }

    private static StateList ReadList(ref PayloadReader reader)
    {
        var items = new List<StateItem>();
        for (var count = reader.Array(); count > 0; count--)
        {
            var record = new RecordReader(ref reader, "state item");
            var item = new StateItem(record.Unsigned(), record.Binary());
            record.End();
            if (items.Count > 0 && item.Id <= items[^1].Id)
                throw new PayloadException($"state item 0x{item.Id:x16} is out of order");
            items.Add(item);
        }

        return items.Count == 0 ? StateList.Empty : StateList.Create(items);
    }
}
