using System.CommandLine;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Cli.Machines;

/// <summary>What machines are made of: the option <c>--machine</c>.</summary>
internal static class MachineChoice
{
    /// <summary>The name of machines that the kernel runs.</summary>
    public const string Kvm = "kvm";

    private const string Automatic = "auto";
    private const string Simulated = "sim";

    public static Option<string> Option() =>
        TypedOptions.Choice("--machine", "What the machine is made of: KVM of this host, or a simulation", Automatic, Kvm, Simulated);

    /// <summary>Opens what was chosen.</summary>
    /// <exception cref="CommandException">It cannot be used; the message says why.</exception>
    public static IKvm Open(string choice, Surroundings around)
    {
        if (choice == Simulated)
            throw CommandException.Failed("--machine sim is not built yet; use --machine kvm on a host with KVM");
        return SystemHandle.TryOpen(out var kvm, out var reason, around.KvmDevice)
            ? kvm
            : throw CommandException.Failed($"KVM cannot be used: {reason}");
    }
}
