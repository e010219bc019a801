using Checkpoint.Cli.Output;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>Finds the registers in which two states differ, by name.</summary>
internal static class StateDifference
{
    /// <summary>The differences of two machines, vCPU by vCPU, then the VM's own.</summary>
    public static IEnumerable<DifferentRegisterLine> Of(StateDocument left, StateDocument right)
    {
        for (var vcpu = 0; vcpu < Math.Max(left.Vcpus.Length, right.Vcpus.Length); vcpu++)
        {
            foreach (var line in Of(vcpu, VcpuOf(left, vcpu), VcpuOf(right, vcpu)))
                yield return line;
        }

        foreach (var line in Of(null, left.Vm, right.Vm))
            yield return line;
    }

    /// <summary>The devices whose states differ.</summary>
    public static IEnumerable<DifferentDeviceLine> DevicesOf(StateDocument left, StateDocument right)
    {
        foreach (var name in left.Devices.Concat(right.Devices).Select(device => device.Name).Distinct())
        {
            var (here, there) = (Find(left, name), Find(right, name));
            if (here is null || there is null || !here.State.Span.SequenceEqual(there.State.Span))
                yield return new DifferentDeviceLine(name, here?.State.Length, there?.State.Length);
        }
    }

    private static DeviceState? Find(StateDocument document, string name) => document.Devices.FirstOrDefault(device => device.Name == name);

    private static StateList VcpuOf(StateDocument document, int vcpu) => vcpu < document.Vcpus.Length ? document.Vcpus[vcpu] : StateList.Empty;

    private static IEnumerable<DifferentRegisterLine> Of(int? vcpu, StateList left, StateList right)
    {
        // In the order of 'show --registers': groups such as the general registers of x64 first.
        foreach (var id in left.Concat(right).Select(item => item.Id).Distinct().OrderBy(id => id < StateIds.X64GroupBase).ThenBy(id => id))
        {
            left.TryGet(id, out var here);
            right.TryGet(id, out var there);
            if (here.Span.SequenceEqual(there.Span))
                continue;
            foreach (var (name, offset, size) in FieldsOf(id, Math.Max(here.Length, there.Length)))
            {
                var (one, other) = (Part(here, offset, size), Part(there, offset, size));
                if (!one.Span.SequenceEqual(other.Span))
                    yield return new DifferentRegisterLine(vcpu, name, ValueOf(one), ValueOf(other));
            }
        }
    }

    private static ReadOnlyMemory<byte> Part(ReadOnlyMemory<byte> value, int offset, int size) => offset + size <= value.Length ? value.Slice(offset, size) : default;

    private static string? ValueOf(ReadOnlyMemory<byte> value) => value.IsEmpty ? null : Hex.Of(value.Span);

    /// <summary>The registers of an item and, so that no difference goes unseen, the bytes between them.</summary>
    private static IEnumerable<(string Name, int Offset, int Size)> FieldsOf(ulong id, int size)
    {
        var end = 0;
        foreach (var field in RegisterNames.FieldsOf(id, size).OrderBy(field => field.Offset))
        {
            if (field.Offset > end)
                yield return (RegisterNames.NameAt(id, end), end, field.Offset - end);
            yield return (field.Name, field.Offset, field.Size);
            end = Math.Max(end, field.Offset + field.Size);
        }

        if (end < size)
            yield return (RegisterNames.NameAt(id, end), end, size - end);
    }
}
