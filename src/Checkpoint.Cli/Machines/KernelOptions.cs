using System.CommandLine;
using System.Runtime.InteropServices;
using Checkpoint.Cli.Commands;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Machines;

/// <summary>The options that say what machines are made of: <c>--machine</c>, <c>--arch</c>, <c>--batching</c>.</summary>
internal sealed class KernelOptions
{
    private const string Automatic = "auto";
    private const string Best = "best";
    private const string Arm64 = "arm64";

    private static readonly RegisterBatching[] s_batchings = [RegisterBatching.ManyRegs, RegisterBatching.Msrs, RegisterBatching.OneReg];

    // The help must not name a default that depends on the host and on the checkpoint.
    public KernelOptions() => Architecture.DefaultValueFactory = null;

    public Option<string> Machine { get; } = TypedOptions.Choice(
        "--machine", "What the machine is made of: KVM of this host, or a simulation; auto takes KVM where it is usable", Automatic, Kernel.OfKvm, Kernel.Simulated);

    public Option<string> Architecture { get; } = TypedOptions.Choice(
        "--arch", "The processor architecture; the checkpoint's, or for a new machine the host's, unless said otherwise", "x64", Arm64);

    public Option<string> Batching { get; } = TypedOptions.Choice(
        "--batching", "How registers are read and set; the best way that the kernel has unless said otherwise", [Best, .. s_batchings.Select(RegisterBatchings.NameOf)]);

    private static MachineArchitecture ArchitectureOfHost =>
        RuntimeInformation.ProcessArchitecture == System.Runtime.InteropServices.Architecture.Arm64 ? MachineArchitecture.Arm64 : MachineArchitecture.X64;

    public void AddTo(Command command)
    {
        command.Options.Add(Machine);
        command.Options.Add(Architecture);
        command.Options.Add(Batching);
    }

    /// <summary>The architecture of a new machine.</summary>
    public MachineArchitecture ArchitectureOf(ParseResult parsed) => Typed(parsed) ?? ArchitectureOfHost;

    /// <summary>Opens the kernel for a new machine.</summary>
    /// <param name="invocation">What was typed.</param>
    /// <param name="seed">For a simulated kernel.</param>
    /// <param name="faults">What is to go wrong; null for nothing.</param>
    /// <exception cref="CommandException">What was chosen cannot be used; the message says why.</exception>
    public Kernel OpenNew(Invocation invocation, ulong seed, FaultPlan? faults = null) =>
        Open(invocation, ArchitectureOf(invocation.Parsed), seed, wasSimulated: false, faults);

    /// <summary>Opens the kernel for a stored machine: it goes on in the kind of kernel that it was taken in, unless something else was typed.</summary>
    /// <param name="invocation">What was typed.</param>
    /// <param name="stored">The checkpoint.</param>
    /// <param name="faults">What is to go wrong; null for nothing.</param>
    /// <exception cref="CommandException">What was chosen cannot be used; the message says why.</exception>
    public Kernel OpenFor(Invocation invocation, StoredCheckpoint stored, FaultPlan? faults = null)
    {
        var architecture = stored.Document.Machine.Architecture;
        if (Typed(invocation.Parsed) is { } typed && typed != architecture)
            throw CommandException.Failed($"--arch {Words.Of(typed)}: {stored.Name} is of an {Words.Of(architecture)} machine; leave --arch out");
        return Open(invocation, architecture, stored.SimulationSeed ?? 0, stored.SimulationSeed is not null, faults);
    }

    private MachineArchitecture? Typed(ParseResult parsed) => parsed.GetResult(Architecture) is { Implicit: false }
        ? parsed.GetValue(Architecture) == Arm64 ? MachineArchitecture.Arm64 : MachineArchitecture.X64
        : null;

    private Kernel Open(Invocation invocation, MachineArchitecture architecture, ulong seed, bool wasSimulated, FaultPlan? faults)
    {
        var (kvm, isSimulated) = Choose(invocation, architecture, seed, wasSimulated);
        try
        {
            var batching = BatchingOf(invocation.Parsed);
            if (batching is { } way && BatchingCheck.ReasonAgainst(kvm, architecture, way) is { } reason)
                throw CommandException.Failed($"--batching {RegisterBatchings.NameOf(way)}: {reason}");
            return new Kernel(kvm, architecture, isSimulated ? seed : null, batching, faults);
        }
        catch
        {
            kvm.Dispose();
            throw;
        }
    }

    private RegisterBatching? BatchingOf(ParseResult parsed)
    {
        var name = parsed.GetValue(Batching);
        return name == Best ? null : s_batchings.First(batching => RegisterBatchings.NameOf(batching) == name);
    }

    private (IKvm Kvm, bool IsSimulated) Choose(Invocation invocation, MachineArchitecture architecture, ulong seed, bool wasSimulated)
    {
        var choice = invocation.Parsed.GetValue(Machine);
        if (choice == Kernel.Simulated || (choice == Automatic && wasSimulated))
            return (Simulate(architecture, seed), true);
        if (TryOpenKvm(invocation.Around, architecture, out var reason) is { } kvm)
            return (kvm, false);
        if (choice == Kernel.OfKvm)
            throw CommandException.Failed($"{reason}; --machine sim needs no KVM");
        // Whoever did not choose hears what was chosen: a simulated machine is a slow one.
        invocation.Progress.Say($"{reason}; the machine is simulated.");
        return (Simulate(architecture, seed), true);
    }

    private static SystemHandle? TryOpenKvm(Surroundings around, MachineArchitecture architecture, out string? reason)
    {
        if (architecture != ArchitectureOfHost)
        {
            reason = $"KVM of this host runs {Words.Of(ArchitectureOfHost)} machines, not {Words.Of(architecture)}";
            return null;
        }

        if (SystemHandle.TryOpen(out var kvm, out var why, around.KvmDevice))
        {
            reason = null;
            return kvm;
        }

        reason = $"KVM cannot be used: {why}";
        return null;
    }

    // With the batched calls, so that every way of reading registers can be tried on it.
    private static SimulatedKvm Simulate(MachineArchitecture architecture, ulong seed) =>
        new(new SimulatedKvmOptions { Architecture = architecture, Seed = seed, ManyRegs = SimulatedManyRegs.Present });
}
