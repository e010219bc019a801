using System.Collections.Frozen;

namespace Checkpoint.Protocol.Faults;

/// <summary>What can be made to go wrong at a call.</summary>
[Flags]
public enum FaultAbilities
{
    /// <summary>Nothing.</summary>
    None = 0,

    /// <summary>It can fail with an error number.</summary>
    Fails = 1,

    /// <summary>It can take longer, or never end.</summary>
    Waits = 2,

    /// <summary>It takes several registers and can fail after some of them.</summary>
    CountsRegisters = 4,

    /// <summary>It enters the guest and can end with an exit that ends the vCPU.</summary>
    EntersGuest = 8,

    /// <summary>It is made on a vCPU, which can die by it.</summary>
    OnVcpu = 16,

    /// <summary>It is made on a VM or what belongs to it, which can go away by it.</summary>
    OnMachine = 32,

    /// <summary>It writes to the journal: refused, or with an end that nobody knows.</summary>
    Commits = 64,

    /// <summary>A vCPU makes it, or it is made for one: a rule can be about this vCPU alone.</summary>
    OfVcpu = 128,
}

/// <summary>
/// The names of the places at which faults can be injected. KVM's calls have the kernel's names of their requests, calls on files
/// the names of their system calls; what is no call of the kernel has a name of ours with a dot in it.
/// </summary>
public static class FaultCalls
{
    /// <summary>A kick has ended KVM_RUN, and the vCPU is to be parked.</summary>
    public const string VcpuPark = "vcpu.park";

    /// <summary>KVM_RUN with immediate_exit and kvm_valid_regs, by which registers are read (KVM_CAP_SYNC_REGS).</summary>
    public const string SyncRegs = "KVM_CAP_SYNC_REGS";

    /// <summary>The kick of a vCPU.</summary>
    public const string Kick = "tgkill";

    /// <summary>The host reads guest memory.</summary>
    public const string MemoryRead = "memory.read";

    /// <summary>The host writes guest memory.</summary>
    public const string MemoryWrite = "memory.write";

    /// <summary>A userfaultfd is opened, to fill guest memory lazily or to protect it against writes.</summary>
    public const string Userfaultfd = "userfaultfd";

    /// <summary>Guest memory is protected against writes, or not any more.</summary>
    public const string WriteProtect = "UFFDIO_WRITEPROTECT";

    /// <summary>The owner's answer to an exit of a vCPU.</summary>
    public const string ExitHandle = "exit.handle";

    /// <summary>A device with threads of its own is parked.</summary>
    public const string DevicePark = "device.park";

    /// <summary>A device's state is taken.</summary>
    public const string DeviceCapture = "device.capture";

    /// <summary>A device with threads of its own goes on.</summary>
    public const string DeviceResume = "device.resume";

    /// <summary>A transaction of the journal.</summary>
    public const string JournalAppend = "journal.append";

    /// <summary>What the journal shows is proven to be on the disk.</summary>
    public const string JournalProve = "journal.prove";

    /// <summary>Events are read.</summary>
    public const string JournalRead = "journal.read";

    /// <summary>The names of machines or the numbers of state documents are read.</summary>
    public const string JournalList = "journal.list";

    /// <summary>A state document is read.</summary>
    public const string JournalReadDocument = "journal.read-document";

    /// <summary>A snapshot of the folded stream is stored.</summary>
    public const string JournalSaveSnapshot = "journal.save-snapshot";

    /// <summary>A snapshot of the folded stream is read.</summary>
    public const string JournalLoadSnapshot = "journal.load-snapshot";

    /// <summary>The machine's lock is taken.</summary>
    public const string Lock = "flock";

    /// <summary>A segment's file is made or opened.</summary>
    public const string FileOpen = "open";

    /// <summary>A segment's file is written.</summary>
    public const string FileWrite = "pwrite";

    /// <summary>A segment's file is read.</summary>
    public const string FileRead = "pread";

    /// <summary>A segment's file is brought to the disk.</summary>
    public const string FileSync = "fsync";

    /// <summary>A folder's entries are brought to the disk: an fsync of the folder.</summary>
    public const string FolderSync = "fsync.folder";

    /// <summary>A segment gets its name.</summary>
    public const string FileRename = "rename";

    /// <summary>A segment is deleted.</summary>
    public const string FileDelete = "unlink";

    private const FaultAbilities Call = FaultAbilities.Fails | FaultAbilities.Waits;
    private const FaultAbilities Vm = Call | FaultAbilities.OnMachine;
    private const FaultAbilities Vcpu = Vm | FaultAbilities.OnVcpu | FaultAbilities.OfVcpu;

    private static readonly FrozenDictionary<string, FaultAbilities> s_calls = All().ToFrozenDictionary(each => each.Name, each => each.Abilities, StringComparer.Ordinal);

    /// <summary>All names, in ordinal order.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. s_calls.Keys.Order(StringComparer.Ordinal)];

    /// <summary>What can go wrong at a call; nothing where there is no such call.</summary>
    public static FaultAbilities AbilitiesOf(string call) => s_calls.GetValueOrDefault(call);

    /// <summary>The names that are meant by a name, or by a beginning with <c>*</c> behind it.</summary>
    /// <returns>Empty where no call is called so.</returns>
    public static IReadOnlyList<string> Matching(string name) => name.EndsWith('*')
        ? [.. Names.Where(each => each.StartsWith(name[..^1], StringComparison.Ordinal))]
        : s_calls.ContainsKey(name) ? [name] : [];

    /// <summary>Those of the names at which this can go wrong.</summary>
    internal static IReadOnlyList<string> Able(IEnumerable<string> names, FaultAbilities needs) => [.. names.Where(name => (AbilitiesOf(name) & needs) == needs)];

    private static IEnumerable<(string Name, FaultAbilities Abilities)> All()
    {
        foreach (var name in (string[])["API_VERSION", "MSR_INDEX_LIST", "SUPPORTED_CPUID", "VCPU_MMAP_SIZE", "MSR_FEATURE_INDEX_LIST"])
            yield return ("KVM_GET_" + name, Call);
        yield return ("KVM_CREATE_VM", Call);
        yield return ("KVM_CHECK_EXTENSION", Call | FaultAbilities.OfVcpu);
        foreach (var name in (string[])["KVM_CREATE_VCPU", "KVM_GET_DIRTY_LOG", "KVM_CLEAR_DIRTY_LOG", "KVM_SET_USER_MEMORY_REGION", "KVM_SET_TSS_ADDR", "KVM_SET_IDENTITY_MAP_ADDR",
            "KVM_CREATE_IRQCHIP", "KVM_IRQ_LINE", "KVM_GET_IRQCHIP", "KVM_SET_IRQCHIP", "KVM_SET_GSI_ROUTING", "KVM_CREATE_PIT2", "KVM_SET_BOOT_CPU_ID", "KVM_GET_CLOCK",
            "KVM_SET_CLOCK", "KVM_GET_PIT2", "KVM_SET_PIT2", "KVM_SIGNAL_MSI", "KVM_ENABLE_CAP", "KVM_ARM_PREFERRED_TARGET", "KVM_CREATE_DEVICE"])
            yield return (name, Vm);
        // Attributes are those of a device, or of a vCPU.
        foreach (var name in (string[])["KVM_SET_DEVICE_ATTR", "KVM_GET_DEVICE_ATTR", "KVM_HAS_DEVICE_ATTR"])
            yield return (name, Vm | FaultAbilities.OfVcpu);
        foreach (var name in (string[])["REGS", "SREGS", "SREGS2", "FPU", "LAPIC", "CPUID2", "MP_STATE", "VCPU_EVENTS", "DEBUGREGS", "TSC_KHZ", "XSAVE", "XCRS", "ONE_REG", "NESTED_STATE"])
        {
            yield return ("KVM_GET_" + name, Vcpu);
            yield return ("KVM_SET_" + name, Vcpu);
        }

        foreach (var name in (string[])["KVM_GET_XSAVE2", "KVM_GET_REG_LIST", "KVM_SET_SIGNAL_MASK", "KVM_KVMCLOCK_CTRL", "KVM_ARM_VCPU_INIT", "KVM_ARM_VCPU_FINALIZE", SyncRegs])
            yield return (name, Vcpu);
        foreach (var name in (string[])["KVM_GET_MANY_REGS", "KVM_SET_MANY_REGS", "KVM_GET_MSRS", "KVM_SET_MSRS"])
            yield return (name, Vcpu | FaultAbilities.CountsRegisters);
        yield return ("KVM_RUN", Vcpu | FaultAbilities.EntersGuest);
        yield return (VcpuPark, FaultAbilities.Waits | FaultAbilities.OfVcpu);
        foreach (var name in (string[])[Kick, ExitHandle])
            yield return (name, Call | FaultAbilities.OfVcpu);
        yield return (JournalAppend, Call | FaultAbilities.Commits);
        foreach (var name in (string[])[MemoryRead, MemoryWrite, Userfaultfd, WriteProtect, DevicePark, DeviceCapture, DeviceResume, JournalProve, JournalRead, JournalList, JournalReadDocument,
            JournalSaveSnapshot, JournalLoadSnapshot, Lock, FileOpen, FileWrite, FileRead, FileSync, FolderSync, FileRename, FileDelete])
            yield return (name, Call);
    }
}
