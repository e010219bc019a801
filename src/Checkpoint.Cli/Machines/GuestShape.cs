using System.Buffers.Binary;
using System.CommandLine;
using System.Security.Cryptography;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>The options that say what a new machine is like: <c>--vcpus</c>, <c>--memory</c>, <c>--guest</c>, <c>--seed</c>.</summary>
internal sealed class GuestShape
{
    private const int DefaultVcpus = 2;

    // The guest's memory, and the copy of it that each checkpoint is written from.
    private const ulong CopiesOfMemory = 2;

    // A simulated vCPU is much slower: with fewer steps between two exits it makes them about as often as a real one.
    private const ulong SimulatedExitEverySteps = 1 << 12;

    // The first is the one that runs unless said otherwise.
    private static readonly GuestKind[] s_kinds = [GuestKind.Ledger, GuestKind.Counter, GuestKind.Timer];

    public Option<int?> Vcpus { get; } = TypedOptions.Number(
        "--vcpus", $"How many vCPUs, 1 to {GuestOptions.MaxVcpus}; {DefaultVcpus} unless said otherwise", 1, GuestOptions.MaxVcpus);

    public Option<ulong?> Memory { get; } = TypedOptions.MemorySize(
        "--memory", "Guest memory, whole pages of 4096 bytes, such as 64MiB; 8MiB unless said otherwise");

    public Option<string> Guest { get; } = TypedOptions.Choice(
        "--guest",
        "The guest that runs: ledger passes tokens between vCPUs, counter counts in every register, timer counts under a timer interrupt and a breakpoint (x64 on KVM alone)",
        [.. s_kinds.Select(Words.Of)]);

    public Option<ulong?> Seed { get; } = TypedOptions.Seed(
        "--seed", "Where the guest's numbers come from, and those of a simulated machine; drawn at random unless said otherwise");

    public void AddTo(Command command)
    {
        command.Options.Add(Vcpus);
        command.Options.Add(Memory);
        command.Options.Add(Guest);
        command.Options.Add(Seed);
    }

    /// <summary>Whether any of the options was typed.</summary>
    public bool IsGiven(ParseResult parsed) => ((Option[])[Vcpus, Memory, Guest, Seed]).Any(option => parsed.GetResult(option) is { Implicit: false });

    public GuestKind KindOf(ParseResult parsed) => s_kinds.First(kind => Words.Of(kind) == parsed.GetValue(Guest));

    /// <summary>Whether the guest can run in a kernel.</summary>
    /// <exception cref="CommandException">It needs KVM, and the kernel is a simulated one.</exception>
    public void RequireSuited(ParseResult parsed, Kernel kernel)
    {
        if (kernel.IsSimulated && KindOf(parsed) == GuestKind.Timer)
            throw CommandException.Usage("--guest timer: a simulated machine has no timer interrupts; use --machine kvm, or the guest ledger or counter");
    }

    /// <summary>What was asked for, with the defaults for the rest and a seed of its own.</summary>
    /// <exception cref="CommandException">
    /// There is no such guest for the architecture, it does not fit into its memory, or its memory not into this host's.
    /// </exception>
    public GuestOptions OptionsOf(ParseResult parsed, MachineArchitecture architecture, Surroundings around)
    {
        if (architecture != MachineArchitecture.X64 && KindOf(parsed) == GuestKind.Timer)
            throw CommandException.Usage($"--guest timer: there is no such guest for {Words.Of(architecture)} machines; use ledger or counter");
        var options = new GuestOptions
        {
            Architecture = architecture,
            Vcpus = parsed.GetValue(Vcpus) ?? DefaultVcpus,
            MemoryBytes = parsed.GetValue(Memory) ?? GuestOptions.DefaultMemoryBytes,
            // What is drawn has 32 bits: people type it again, and every reader of JSON keeps it exactly.
            Seed = parsed.GetValue(Seed) ?? BinaryPrimitives.ReadUInt32LittleEndian(RandomNumberGenerator.GetBytes(sizeof(uint))),
        };
        try
        {
            // Laying the guest out finds what does not fit, before anything is opened.
            GuestProgram.Create(KindOf(parsed), options);
        }
        catch (ArgumentOutOfRangeException exception)
        {
            throw CommandException.Usage($"--memory: {WithoutParameter(exception)}");
        }

        // Without this the kernel would end this process, or another one, when the memory is used up.
        return options.MemoryBytes <= (ulong)around.MemoryBytes / CopiesOfMemory
            ? options
            : throw CommandException.Failed(
                $"--memory: the guest's {ByteSize.Format((long)options.MemoryBytes)} and the copy that a checkpoint takes do not fit into the "
                + $"{ByteSize.Format(around.MemoryBytes)} of this host");
    }

    /// <summary>Builds the machine.</summary>
    /// <exception cref="CommandException">This kernel has a lower limit.</exception>
    public GuestMachine Create(Kernel kernel, ParseResult parsed, GuestOptions options)
    {
        var most = kernel.Kvm.CheckExtension(KvmCapability.MaxVcpus);
        if (most > 0 && options.Vcpus > most)
            throw CommandException.Failed($"--vcpus: KVM of this host gives a machine at most {most} vCPUs, not {options.Vcpus}");
        var suited = kernel.IsSimulated ? options with { ExitEverySteps = SimulatedExitEverySteps } : options;
        return GuestMachine.Create(kernel.Kvm, KindOf(parsed), suited, batching: kernel.Batching);
    }

    // The framework appends the parameter's name and its value, which mean nothing to whoever typed the option.
    private static string WithoutParameter(ArgumentOutOfRangeException exception)
    {
        var end = exception.Message.IndexOf(" (Parameter", StringComparison.Ordinal);
        return end < 0 ? exception.Message.ReplaceLineEndings(" ") : exception.Message[..end].TrimEnd('.');
    }
}
