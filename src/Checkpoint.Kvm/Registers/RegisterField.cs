namespace Checkpoint.Kvm.Registers;

/// <summary>One register inside a state item: an item that the kernel hands over as a struct has many.</summary>
/// <param name="Name">Its name, <c>rip</c>, <c>cs.base</c>, <c>IA32_EFER</c>.</param>
/// <param name="Id">The state item's id.</param>
/// <param name="Offset">Where its bytes begin in the item's value.</param>
/// <param name="Size">How many bytes it has.</param>
public readonly record struct RegisterField(string Name, ulong Id, int Offset, int Size);
