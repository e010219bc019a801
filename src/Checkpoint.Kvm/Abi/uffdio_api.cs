using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Abi;

// UFFDIO_API.
[StructLayout(LayoutKind.Sequential)]
internal struct uffdio_api
{
    internal ulong api;
    internal ulong features;
    internal ulong ioctls;
}
