using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One channel of the 8254, part of struct kvm_pit_state2.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_pit_channel_state
{
    internal uint count;
    internal ushort latched_count;
    internal byte count_latched;
    internal byte status_latched;
    internal byte status;
    internal byte read_state;
    internal byte write_state;
    internal byte write_latch;
    internal byte rw_mode;
    internal byte mode;
    internal byte bcd;
    internal byte gate;
    internal long count_load_time;
}
