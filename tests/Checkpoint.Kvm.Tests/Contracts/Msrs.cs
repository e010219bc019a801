using System.Buffers.Binary;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>struct kvm_msrs as bytes.</summary>
internal static class Msrs
{
    internal static byte[] Of(params uint[] indices)
    {
        var bytes = new byte[8 + (16 * indices.Length)];
        BinaryPrimitives.WriteInt32LittleEndian(bytes, indices.Length);
        for (var i = 0; i < indices.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(bytes.AsSpan(8 + (16 * i)), indices[i]);
        return bytes;
    }

    internal static ulong ValueAt(byte[] bytes, int place) => BinaryPrimitives.ReadUInt64LittleEndian(bytes.AsSpan(16 + (16 * place)));

    internal static void SetValueAt(byte[] bytes, int place, ulong value) =>
        BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(16 + (16 * place)), value);
}
