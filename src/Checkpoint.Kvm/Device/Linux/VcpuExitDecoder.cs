using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>Reads what KVM_RUN left in struct kvm_run.</summary>
internal static class VcpuExitDecoder
{
    private const byte IoDirectionOut = 1;
    private const int MmioDataBytes = 8;
    private const int MmioDataOffset = 40;

    /// <param name="run">The page that the vCPU shares with the kernel; the result's data lies in it, or in the pages after it.</param>
    /// <param name="lengthBytes">How many bytes are mapped there.</param>
    internal static VcpuExit Decode(ref kvm_run run, ulong lengthBytes)
    {
        var reason = (VcpuExitReason)run.exit_reason;
        return reason switch
        {
            VcpuExitReason.Io => DecodeIo(ref run, lengthBytes),
            VcpuExitReason.Mmio => DecodeMmio(ref run),
            VcpuExitReason.Unknown => new VcpuExit { Reason = reason, Detail = run.hw_hardware_exit_reason },
            VcpuExitReason.FailEntry => new VcpuExit { Reason = reason, Detail = run.fail_entry_hardware_entry_failure_reason },
            VcpuExitReason.Exception => new VcpuExit { Reason = reason, Detail = run.ex_exception },
            VcpuExitReason.InternalError => new VcpuExit { Reason = reason, Detail = run.internal_suberror },
            VcpuExitReason.SystemEvent => new VcpuExit { Reason = reason, Detail = run.system_event_type },
            _ => new VcpuExit { Reason = reason },
        };
    }

    private static VcpuExit DecodeIo(ref kvm_run run, ulong lengthBytes)
    {
        var offset = run.io_data_offset;
        var bytes = (ulong)run.io_size * run.io_count;
        if (offset > lengthBytes || bytes > lengthBytes - offset)
            throw new UnreachableException($"The data of an IO exit lies outside the {lengthBytes} mapped bytes: offset {offset}, {bytes} bytes.");
        return new VcpuExit
        {
            Reason = VcpuExitReason.Io,
            IsWrite = run.io_direction == IoDirectionOut,
            Port = run.io_port,
            AccessSize = run.io_size,
            Data = Bytes(ref run, (nint)offset, (int)bytes),
        };
    }

    private static VcpuExit DecodeMmio(ref kvm_run run)
    {
        var bytes = run.mmio_len;
        if (bytes > MmioDataBytes)
            throw new UnreachableException($"An MMIO exit of {bytes} bytes.");
        return new VcpuExit
        {
            Reason = VcpuExitReason.Mmio,
            IsWrite = run.mmio_is_write != 0,
            GuestAddress = run.mmio_phys_addr,
            AccessSize = (int)bytes,
            Data = Bytes(ref run, MmioDataOffset, (int)bytes),
        };
    }

    // The caller has seen that the range lies inside the mapped pages.
    private static Span<byte> Bytes(ref kvm_run run, nint offset, int length) =>
        MemoryMarshal.CreateSpan(ref Unsafe.AddByteOffset(ref Unsafe.As<kvm_run, byte>(ref run), offset), length);
}
