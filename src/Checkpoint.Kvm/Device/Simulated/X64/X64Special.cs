using Checkpoint.Kvm.Abi;

namespace Checkpoint.Kvm.Device.Simulated.X64;

/// <summary>Segments and control registers: what they are after reset, and which combinations KVM_SET_SREGS takes.</summary>
internal static class X64Special
{
    public const ulong ApicEnabled = 1 << 11;
    public const ulong ApicX2 = 1 << 10;
    public const ulong Cr0Paging = 1UL << 31;
    public const ulong Cr0Protected = 1;
    public const ulong Cr4Pae = 1 << 5;
    public const ulong Cr4Fxsr = 1 << 9;
    public const ulong Cr4Xsave = 1 << 18;
    public const ulong EferLme = 1 << 8;
    public const ulong EferLma = 1 << 10;

    private const ulong Cr0NotWriteThrough = 1 << 29;
    private const ulong Cr0CacheDisable = 1 << 30;
    private const ulong Cr0AfterReset = 0x6000_0010;
    private const ulong ApicBaseAfterReset = 0xfee0_0000;
    private const ulong ApicBootProcessor = 1 << 8;
    private const ulong PhysicalAddresses = (1UL << 48) - 1;

    // Every feature of CR4 up to CET; SMXE, and what is above, no KVM gives a guest.
    private const ulong KnownCr4 = 0x00ff_bfff;
    private const ulong KnownEfer = 0x0020_fd01; // SCE, LME, LMA, NXE, SVME, LMSLE, FFXSR, TCE, AIBRSE

    public static kvm_sregs2 AfterReset(bool isBootProcessor) => new()
    {
        cs = new kvm_segment { @base = 0xffff_0000, limit = 0xffff, selector = 0xf000, type = 0xb, present = 1, s = 1 },
        ds = Data(), es = Data(), fs = Data(), gs = Data(), ss = Data(),
        tr = new kvm_segment { limit = 0xffff, type = 0xb, present = 1 },
        ldt = new kvm_segment { limit = 0xffff, type = 0x2, present = 1 },
        gdt = new kvm_dtable { limit = 0xffff },
        idt = new kvm_dtable { limit = 0xffff },
        cr0 = Cr0AfterReset,
        apic_base = ApicBaseAfterReset | ApicEnabled | (isBootProcessor ? ApicBootProcessor : 0),
    };

    /// <summary>Whether KVM takes these, as its is_valid_sregs and kvm_apic_set_base decide.</summary>
    public static bool AreValid(in kvm_sregs2 wanted, bool hasXsave)
    {
        var isPaged = (wanted.cr0 & Cr0Paging) != 0;
        if ((wanted.efer & EferLme) != 0 && isPaged)
        {
            if ((wanted.cr4 & Cr4Pae) == 0 || (wanted.efer & EferLma) == 0 || (wanted.cr3 & ~PhysicalAddresses) != 0)
                return false;
        }
        else if ((wanted.efer & EferLma) != 0 || wanted.cs.l != 0)
        {
            return false;
        }

        return IsValidCr0(wanted.cr0) && IsValidCr4(wanted.cr4, hasXsave) && IsValidApicBase(wanted.apic_base);
    }

    public static bool IsValidEfer(ulong efer) => (efer & ~KnownEfer) == 0;

    public static bool IsValidApicBase(ulong value) =>
        (value & 0x2ff & ~ApicBootProcessor) == 0
        && (value & ~PhysicalAddresses) == 0
        && ((value & ApicX2) == 0 || (value & ApicEnabled) != 0);

    /// <summary>Whether the four page directory pointers of PAE are part of the state.</summary>
    public static bool UsesPdptrs(in kvm_sregs2 special) =>
        (special.cr0 & Cr0Paging) != 0 && (special.cr4 & Cr4Pae) != 0 && (special.efer & EferLma) == 0;

    private static bool IsValidCr0(ulong cr0) =>
        cr0 >> 32 == 0
        && ((cr0 & Cr0NotWriteThrough) == 0 || (cr0 & Cr0CacheDisable) != 0)
        && ((cr0 & Cr0Paging) == 0 || (cr0 & Cr0Protected) != 0);

    private static bool IsValidCr4(ulong cr4, bool hasXsave) =>
        (cr4 & ~KnownCr4) == 0 && ((cr4 & Cr4Xsave) == 0 || hasXsave);

    private static kvm_segment Data() => new() { limit = 0xffff, type = 0x3, present = 1, s = 1 };
}
