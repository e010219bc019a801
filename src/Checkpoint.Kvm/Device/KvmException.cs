using System.Globalization;
using System.Text;

namespace Checkpoint.Kvm.Device;

/// <summary>The kernel said no to one of its calls.</summary>
public sealed class KvmException : Exception
{
    /// <summary>Makes the one line that says what failed, where, and why.</summary>
    /// <param name="request">The kernel's name of the call, such as <c>KVM_SET_SREGS2</c>.</param>
    /// <param name="errno">The error number that the call left.</param>
    /// <param name="vcpu">The index of the vCPU, where the call was made on one.</param>
    /// <param name="register">The register that was refused, such as <c>IA32_EFER (0x…)</c>, where it is known.</param>
    /// <param name="detail">What else helps, such as <c>41 of 259 written</c>.</param>
    public KvmException(string request, int errno, int? vcpu = null, string? register = null, string? detail = null)
        : base(Describe(request, errno, vcpu, register, detail))
    {
        Request = request;
        Errno = errno;
        Vcpu = vcpu;
        Register = register;
    }

    /// <summary>The kernel's name of the call.</summary>
    public string Request { get; }

    /// <summary>The error number, as in <c>&lt;errno.h&gt;</c>.</summary>
    public int Errno { get; }

    /// <summary>The index of the vCPU, where the call was made on one.</summary>
    public int? Vcpu { get; }

    /// <summary>The register that was refused, where it is known.</summary>
    public string? Register { get; }

    private static string Describe(string request, int errno, int? vcpu, string? register, string? detail)
    {
        var text = new StringBuilder(request).Append(" failed");
        if (vcpu is not null)
            text.Append(CultureInfo.InvariantCulture, $" on vCPU {vcpu}");
        if (register is not null)
            text.Append(" at ").Append(register);
        text.Append(": ").Append(Device.Errno.NameOf(errno));
        if (detail is not null)
            text.Append("; ").Append(detail);
        return text.ToString();
    }
}
