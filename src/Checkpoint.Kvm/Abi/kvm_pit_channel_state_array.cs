using System.Runtime.CompilerServices;

namespace Checkpoint.Kvm.Abi;

// The three channels of struct kvm_pit_state2.
[InlineArray(3)]
internal struct kvm_pit_channel_state_array
{
    private kvm_pit_channel_state _first;
}
