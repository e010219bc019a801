using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_FPU and KVM_SET_FPU: the part of the extended state that processors without XSAVE have.
[StructLayout(LayoutKind.Sequential)]
internal unsafe struct kvm_fpu
{
    internal fixed byte fpr[128];
    internal ushort fcw;
    internal ushort fsw;
    internal byte ftwx;
    internal byte pad1;
    internal ushort last_opcode;
    internal ulong last_ip;
    internal ulong last_dp;
    internal fixed byte xmm[256];
    internal uint mxcsr;
    internal uint pad2;
}
