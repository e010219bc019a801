using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_ARM_VCPU_INIT and KVM_ARM_PREFERRED_TARGET (arm64).
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_vcpu_init
{
    internal uint target;
    internal fixed uint features[7];
}
