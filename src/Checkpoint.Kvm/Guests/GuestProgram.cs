using System.Buffers.Binary;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// One guest of a given shape: what its memory and registers are at the start, and whether a later state of it is
/// consistent. The caller owns the machine.
/// </summary>
/// <remarks>
/// Memory from guest physical address 0, mapped to itself: the first page is the architecture's, then the code, the page
/// tables, one page for each vCPU, then the counter's working areas or the ledger's slots; the timer guest has its descriptor tables
/// and stacks between. Nothing else is written, by the host or the guest.
/// </remarks>
public abstract class GuestProgram
{
    internal const ulong CodeAddress = 0x1000;
    internal const ulong TablesAddress = 0x2000;

    private protected const ulong PageBytes = PageTables.PageBytes;

    private protected GuestProgram(GuestOptions options)
    {
        if (options.Vcpus is < 1 or > GuestOptions.MaxVcpus)
        {
            throw new ArgumentOutOfRangeException(
                nameof(options), options.Vcpus, $"A guest has 1 to {GuestOptions.MaxVcpus} vCPUs.");
        }

        Options = options;
    }

    /// <summary>The shape this guest was made with.</summary>
    public GuestOptions Options { get; }

    /// <summary>Which guest it is.</summary>
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
    internal abstract ulong OwnPages { get; }

    /// <summary>Memory that the guest uses ends here at the latest.</summary>
    internal abstract ulong HighestAddress { get; }

    internal virtual ulong FirstFreePage => OwnPages + ((ulong)Options.Vcpus * PageBytes);

    private protected abstract ReadOnlySpan<byte> Code { get; }

    /// <summary>Makes a guest for the architecture of its options.</summary>
    /// <exception cref="ArgumentOutOfRangeException">There is no such guest, or it can't have this shape.</exception>
    public static GuestProgram Create(GuestKind kind, GuestOptions options) => Create(kind, options, default);

    /// <summary>Makes a guest for the architecture of its options.</summary>
    /// <param name="kind">Which guest.</param>
    /// <param name="options">Its shape.</param>
    /// <param name="cpuid">
    /// What CPUID tells its vCPUs, in entries of 40 bytes. The timer guest with <see cref="GuestOptions.UseZmm"/> needs it: where an
    /// XSAVE area has the registers of AVX-512 differs by processor.
    /// </param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such guest, or it can't have this shape.</exception>
    public static GuestProgram Create(GuestKind kind, GuestOptions options, ReadOnlyMemory<byte> cpuid) => (options.Architecture, kind) switch
    {
        (MachineArchitecture.X64, GuestKind.Counter) => new CounterProgram(options),
        (MachineArchitecture.X64, GuestKind.Ledger) => new LedgerProgram(options),
        (MachineArchitecture.X64, GuestKind.Timer) => new TimerProgram(options, XsaveLayout.Of(cpuid.Span)),
        (MachineArchitecture.Arm64, GuestKind.Counter) => new Arm64CounterProgram(options),
        (MachineArchitecture.Arm64, GuestKind.Ledger) => new Arm64LedgerProgram(options),
        (MachineArchitecture.Arm64, GuestKind.Timer) => new Arm64TimerProgram(options),
        _ => throw new ArgumentOutOfRangeException(nameof(kind), kind, $"There is no such guest for {options.Architecture}."),
    };

    /// <summary>Writes what memory holds at the start, page by page or less. The rest of memory must be zero.</summary>
    public void Load(Action<ulong, ReadOnlyMemory<byte>> write)
    {
        LoadSystem(write);
        write(CodeAddress, Code.ToArray());
        LoadData(write);
    }

    /// <summary>
    /// Says whether memory, registers and device are of one moment. The vCPUs may have stopped at any instruction, with
    /// IO completed.
    /// </summary>
    /// <param name="read">Reads the memory.</param>
    /// <param name="vcpus">The vCPUs' states, in the machine's order.</param>
    /// <param name="device">The guest's device.</param>
    /// <exception cref="InvalidDataException">A vCPU's state has no general registers.</exception>
    public abstract GuestVerdict Verify(ReadGuestMemory read, IReadOnlyList<StateList> vcpus, SequenceDevice device);

    /// <summary>Sets the registers that a vCPU starts with.</summary>
    internal abstract void Enter(IVcpu vcpu, int index);

    internal ulong OwnPage(int vcpu) => OwnPages + ((ulong)vcpu * PageBytes);

    internal void RequireMemory(ulong neededBytes)
    {
        if (Options.MemoryBytes < neededBytes)
        {
            throw new ArgumentOutOfRangeException(
                nameof(neededBytes),
                Options.MemoryBytes,
                $"The guest {Kind} with {Options.Vcpus} vCPUs needs {neededBytes} bytes of memory.");
        }
    }

    /// <summary>Writes what the architecture needs: page tables and the like.</summary>
    private protected abstract void LoadSystem(Action<ulong, ReadOnlyMemory<byte>> write);

    private protected abstract void LoadData(Action<ulong, ReadOnlyMemory<byte>> write);

    private protected void RequireVcpu(int vcpu)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(vcpu);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(vcpu, Options.Vcpus);
    }

    private protected void RequireAll(int registers, SequenceDevice device)
    {
        if (registers != Options.Vcpus || device.VcpuCount != Options.Vcpus)
        {
            throw new ArgumentException(
                $"The guest has {Options.Vcpus} vCPUs; registers are of {registers}, the device is of {device.VcpuCount}.",
                nameof(registers));
        }
    }

    /// <summary>
    /// Checks that the vCPU is in its code and has not stopped. False if it is not in the loop or before it, where the rules
    /// of a step would mean nothing.
    /// </summary>
    private protected bool CheckPlace(Findings findings, string register, ulong place, ReadGuestMemory read, ulong errorOffset)
    {
        if (place < CodeStart || place >= CodeStart + (ulong)Code.Length)
        {
            findings.Add(
                $"{register} expected in the code from 0x{CodeStart:x} to 0x{CodeStart + (ulong)Code.Length:x}, found 0x{place:x}");
            return false;
        }

        if (place >= LoopEnd)
        {
            var page = OwnPage(findings.Vcpu);
            findings.Add(
                $"stopped at a wrong number from the sequence port: "
                + $"expected {Word(read, page + errorOffset + 8)}, found {Word(read, page + errorOffset + 16)}");
            return false;
        }

        return true;
    }

    internal static ulong Word(ReadGuestMemory read, ulong address)
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
}
