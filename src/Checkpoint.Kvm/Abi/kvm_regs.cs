using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// KVM_GET_REGS and KVM_SET_REGS on x86.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_regs
{
    internal ulong rax;
    internal ulong rbx;
    internal ulong rcx;
    internal ulong rdx;
    internal ulong rsi;
    internal ulong rdi;
    internal ulong rsp;
    internal ulong rbp;
    internal ulong r8;
    internal ulong r9;
    internal ulong r10;
    internal ulong r11;
    internal ulong r12;
    internal ulong r13;
    internal ulong r14;
    internal ulong r15;
    internal ulong rip;
    internal ulong rflags;
}
