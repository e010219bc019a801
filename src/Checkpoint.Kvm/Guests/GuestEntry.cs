namespace Checkpoint.Kvm.Guests;

/// <summary>
/// The registers a vCPU starts with: long mode at CPL 3, so that nothing but port IO leaves the guest. GDT and IDT have
/// limit 0 unless said otherwise; everything not named here stays as KVM made it.
/// </summary>
public sealed record GuestEntry
{
    private const ulong ProtectedPaged = 0x8005_0033; // PG, AM, WP, NE, ET, MP, PE
    private const ulong PhysicalAddressExtension = 1UL << 5;
    private const ulong FxsaveAndSimdExceptions = (1UL << 9) | (1UL << 10);
    private const ulong Xsave = 1UL << 18;
    private const ulong LongMode = (1UL << 8) | (1UL << 10); // LME, LMA

    /// <summary>The general registers, RIP and RFLAGS.</summary>
    public required GeneralRegisters General { get; init; }

    /// <summary>The physical address of the top page table.</summary>
    public required ulong Cr3 { get; init; }

    /// <summary>Whether AVX state is on: CR4.OSXSAVE and XCR0 = 7.</summary>
    public required bool Avx { get; init; }

    /// <summary>Whether AVX-512 state is on too: XCR0 = 0xe7.</summary>
    public bool Avx512 { get; init; }

    /// <summary>Whether the local APIC is in x2APIC mode.</summary>
    public bool X2Apic { get; init; }

    public ulong Cr0 { get; } = ProtectedPaged;

    public ulong Cr4 => PhysicalAddressExtension | FxsaveAndSimdExceptions | (Avx ? Xsave : 0);

    public ulong Efer { get; } = LongMode;

    /// <summary>x87, SSE and, if on, AVX and the three parts of AVX-512. When it is 1 it is the value after reset and KVM_SET_XCRS is not needed.</summary>
    public ulong Xcr0 => Avx512 ? 0xe7UL : Avx ? 7UL : 1UL;

    public GuestSegment Cs { get; } = GuestSegment.UserCode;

    /// <summary>For SS, DS, ES, FS and GS alike.</summary>
    public GuestSegment Data { get; } = GuestSegment.UserData;

    public GuestSegment Tr { get; init; } = GuestSegment.Task;

    public GuestTable Gdt { get; init; }

    public GuestTable Idt { get; init; }

    public GuestSegment Ldt { get; } = GuestSegment.NoLocalTable;
}
