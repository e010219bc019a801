using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// The start of the pages that a vCPU shares with the kernel, as x86, arm64 and riscv64 lay it out (s390 does not). The
// members of the header's union are flattened, their names joined.
[StructLayout(LayoutKind.Explicit, Size = 2352)]
internal unsafe struct kvm_run
{
    [FieldOffset(0)] internal byte request_interrupt_window;
    [FieldOffset(1)] internal byte immediate_exit;
    [FieldOffset(8)] internal uint exit_reason;
    [FieldOffset(12)] internal byte ready_for_interrupt_injection;
    [FieldOffset(13)] internal byte if_flag;
    [FieldOffset(14)] internal ushort flags;
    [FieldOffset(16)] internal ulong cr8;
    [FieldOffset(24)] internal ulong apic_base;

    [FieldOffset(32)] internal ulong hw_hardware_exit_reason;

    [FieldOffset(32)] internal ulong fail_entry_hardware_entry_failure_reason;
    [FieldOffset(40)] internal uint fail_entry_cpu;

    [FieldOffset(32)] internal uint ex_exception;
    [FieldOffset(36)] internal uint ex_error_code;

    [FieldOffset(32)] internal byte io_direction;
    [FieldOffset(33)] internal byte io_size;
    [FieldOffset(34)] internal ushort io_port;
    [FieldOffset(36)] internal uint io_count;
    [FieldOffset(40)] internal ulong io_data_offset;

    [FieldOffset(32)] internal ulong mmio_phys_addr;
    [FieldOffset(40)] internal fixed byte mmio_data[8];
    [FieldOffset(48)] internal uint mmio_len;
    [FieldOffset(52)] internal byte mmio_is_write;

    [FieldOffset(32)] internal uint internal_suberror;
    [FieldOffset(36)] internal uint internal_ndata;

    [FieldOffset(32)] internal uint system_event_type;
    [FieldOffset(36)] internal uint system_event_ndata;

    [FieldOffset(288)] internal ulong kvm_valid_regs;
    [FieldOffset(296)] internal ulong kvm_dirty_regs;
}
