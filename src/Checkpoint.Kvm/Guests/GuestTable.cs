using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>GDTR or IDTR.</summary>
/// <param name="Address">The linear address of the table.</param>
/// <param name="Limit">The offset of its last byte.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct GuestTable(ulong Address, ushort Limit);
