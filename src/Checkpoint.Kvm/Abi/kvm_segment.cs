using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// One segment register, part of struct kvm_sregs.
[StructLayout(LayoutKind.Sequential)]
internal struct kvm_segment
{
    internal ulong @base;
    internal uint limit;
    internal ushort selector;
    internal byte type;
    internal byte present;
    internal byte dpl;
    internal byte db;
    internal byte s;
    internal byte l;
    internal byte g;
    internal byte avl;
    internal byte unusable;
    internal byte padding;
}
