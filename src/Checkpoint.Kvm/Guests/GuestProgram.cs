using System.Buffers.Binary;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// One guest of a given shape: what its memory and registers are at the start, and whether a later state of it is
/// consistent. Bytes and numbers only; the caller owns the machine.
/// </summary>
/// <remarks>
/// Memory from guest physical address 0, mapped to itself: the task state segment, the code, the page tables, one page for each
/// vCPU, then the counter's working areas or the ledger's slots. Nothing else is written, by the host or the guest.
/// </remarks>
public abstract class GuestProgram
{
    internal const ulong CodeAddress = 0x1000;
    internal const ulong TablesAddress = 0x2000;

    private protected const ulong PageBytes = PageTables.PageBytes;
    private protected const ulong InitialRflags = 0x2; // No interrupts; IN and OUT are allowed by the task state segment.

    // A memory slot that goes on beyond 3 GiB lies under the interrupt chips' own pages there.
    private protected const ulong HighestAddress = 3UL << 30;

    private const ulong ArithmeticFlags = 0x8d5;
    private const ulong ResumeFlag = 0x1_0000;

    private readonly PageTables _tables;

    private protected GuestProgram(GuestOptions options)
    {
        if (options.Vcpus is < 1 or > GuestOptions.MaxVcpus)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Vcpus, $"A guest has 1 to {GuestOptions.MaxVcpus} vCPUs.");
        }

        Options = options;
        _tables = new PageTables(TablesAddress, options.MemoryBytes);
    }

    /// <summary>The shape this guest was made with.</summary>
    public GuestOptions Options { get; }

    public abstract GuestKind Kind { get; }

    /// <summary>The address of the first instruction, where every vCPU starts.</summary>
    public ulong CodeStart { get; } = CodeAddress;

    /// <summary>The address of the first instruction of the step.</summary>
    public abstract ulong LoopStart { get; }

    /// <summary>
    /// The address behind the last instruction of the step. A vCPU at or above it has stopped, because the sequence
    /// device gave it a wrong number.
    /// </summary>
    public abstract ulong LoopEnd { get; }

    /// <summary>Everything the guest touches lies below this address.</summary>
    public abstract ulong UsedMemoryBytes { get; }

    /// <summary>The vCPUs' own pages begin here.</summary>
    internal ulong OwnPages => _tables.End;

    private protected ulong FirstFreePage => OwnPages + ((ulong)Options.Vcpus * PageBytes);

    private protected abstract ReadOnlySpan<byte> Code { get; }

    public static GuestProgram Create(GuestKind kind, GuestOptions options) => kind switch
    {
        GuestKind.Counter => new CounterProgram(options),
        GuestKind.Ledger => new LedgerProgram(options),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, "There is no such guest."),
    };

    /// <summary>Writes what memory holds at the start, page by page or less. The rest of memory must be zero.</summary>
    public void Load(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        TaskState.Load(write);
        write(CodeAddress, Code.ToArray());
        _tables.Load(write);
        LoadData(write);
    }

    /// <summary>The registers a vCPU starts with.</summary>
    public GuestEntry Entry(int vcpu)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(vcpu);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(vcpu, Options.Vcpus);
        return new GuestEntry { General = EntryRegisters(vcpu), Cr3 = _tables.Start, Avx = NeedsAvx };
    }

    /// <summary>
    /// Says whether memory, registers and device are of one moment. The vCPUs may have stopped at any instruction, with
    /// port IO completed.
    /// </summary>
    public GuestVerdict Verify(
        ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device)
    {
        if (vcpus.Count != Options.Vcpus || device.VcpuCount != Options.Vcpus)
        {
            throw new ArgumentException(
                $"The guest has {Options.Vcpus} vCPUs; registers are of {vcpus.Count}, the device is of {device.VcpuCount}.",
                nameof(vcpus));
        }

        return VerifyAll(read, vcpus, device);
    }

    internal ulong OwnPage(int vcpu) => OwnPages + ((ulong)vcpu * PageBytes);

    private protected virtual bool NeedsAvx => false;

    private protected abstract void LoadData(Action<ulong, ReadOnlyMemory<byte>> write);

    private protected abstract GeneralRegisters EntryRegisters(int vcpu);

    private protected abstract GuestVerdict VerifyAll(
        ReadGuestMemory read, IReadOnlyList<GuestRegisters> vcpus, SequenceDevice device);

    /// <summary>
    /// Checks that the vCPU is in its code and has not stopped, and that RFLAGS has only ever changed by arithmetic.
    /// False if it is not in the loop or before it, where the rules of a step would mean nothing.
    /// </summary>
    private protected bool CheckPlace(Findings findings, GeneralRegisters registers, ReadGuestMemory read, ulong errorOffset)
    {
        findings.Equal(
            "rflags without the arithmetic flags",
            InitialRflags,
            registers.Rflags & ~(ArithmeticFlags | ResumeFlag));

        if (registers.Rip < CodeStart || registers.Rip >= CodeStart + (ulong)Code.Length)
        {
            findings.Add(
                $"rip expected in the code from 0x{CodeStart:x} to 0x{CodeStart + (ulong)Code.Length:x}, "
                + $"found 0x{registers.Rip:x}");
            return false;
        }

        if (registers.Rip >= LoopEnd)
        {
            var page = OwnPage(findings.Vcpu);
            findings.Add(
                $"stopped at a wrong number from the sequence port: "
                + $"expected {Word(read, page + errorOffset + 8)}, found {Word(read, page + errorOffset + 16)}");
            return false;
        }

        return true;
    }

    private protected static ulong Word(ReadGuestMemory read, ulong address)
    {
        Span<byte> word = stackalloc byte[sizeof(ulong)];
        read(address, word);
        return BinaryPrimitives.ReadUInt64LittleEndian(word);
    }

    private protected static byte[] Words(params ReadOnlySpan<ulong> words)
    {
        var bytes = new byte[words.Length * sizeof(ulong)];
        for (var i = 0; i < words.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(i * sizeof(ulong)), words[i]);
        }

        return bytes;
    }

    /// <summary>Checks a step interval: the guest tests it with one AND, so it must be a power of two.</summary>
    private protected static ulong Interval(ulong steps, string name) =>
        ulong.IsPow2(steps)
            ? steps
            : throw new ArgumentOutOfRangeException(name, steps, "Steps between two events must be a power of two.");

    private protected void RequireMemory(ulong neededBytes)
    {
        if (Options.MemoryBytes < neededBytes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(neededBytes),
                Options.MemoryBytes,
                $"The guest {Kind} with {Options.Vcpus} vCPUs needs {neededBytes} bytes of memory.");
        }
    }
}
