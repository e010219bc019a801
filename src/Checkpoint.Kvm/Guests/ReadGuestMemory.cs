namespace Checkpoint.Kvm.Guests;

/// <summary>Copies guest memory from a guest physical address. All calls of one verification see one moment.</summary>
public delegate void ReadGuestMemory(ulong guestAddress, Span<byte> destination);
