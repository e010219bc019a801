using System.Globalization;

namespace Checkpoint.Kvm.Device;

/// <summary>
/// One KVM ioctl: its request code and its name in the kernel's headers. A number alone is not unique (KVM_RESET_DIRTY_RINGS
/// and KVM_GET_MANY_REGS share 0xc7): direction and size belong to it, and the code holds all three.
/// </summary>
/// <param name="Code">The code as <c>&lt;asm-generic/ioctl.h&gt;</c> composes it: direction, size, type 0xAE, number.</param>
/// <param name="Name">The kernel's name, <c>KVM_GET_REGS</c>.</param>
public readonly record struct KvmRequest(uint Code, string Name)
{
    /// <summary>The size in bytes of the struct that the request's argument points to; 0 for an argument passed by value.</summary>
    public int ArgumentSize => (int)((Code >> 16) & 0x3fff);

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Name} (0x{Code:x8})");
}
