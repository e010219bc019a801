using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Interop;

/// <summary>Where error numbers become exceptions.</summary>
internal static class KvmError
{
    /// <summary>Throws for the error number that the last call of this thread left.</summary>
    [DoesNotReturn]
    internal static void ThrowLast(string request, int? vcpu = null, string? register = null) =>
        Throw(request, Marshal.GetLastPInvokeError(), vcpu, register);

    [DoesNotReturn]
    internal static void Throw(string request, int errno, int? vcpu = null, string? register = null) =>
        throw new KvmException(request, errno, vcpu, register);
}
