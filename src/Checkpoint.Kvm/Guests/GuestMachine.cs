using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Running;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Guests;

/// <summary>One of the guests in a machine: it sets the machine up, answers its exits and says whether it is consistent.</summary>
public sealed class GuestMachine : IExitHandler, IDisposable
{
    /// <summary>The name under which the guest's device belongs to a checkpoint.</summary>
    public const string DeviceName = "guest";

    private const uint Avx2 = 1u << 5; // CPUID leaf 7, EBX

    private readonly SequenceDevice _device;

    private GuestMachine(Machine machine, GuestProgram program, SequenceDevice device)
    {
        Machine = machine;
        Program = program;
        _device = device;
    }

    /// <summary>The machine.</summary>
    public Machine Machine { get; }

    /// <summary>The guest.</summary>
    public GuestProgram Program { get; }

    /// <summary>Builds a machine and puts a guest into it.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="kind">Which guest.</param>
    /// <param name="options">Its shape and architecture; what of the processor it uses is decided by what the host supports.</param>
    /// <param name="chip">Which interrupt controllers the kernel emulates; an arm64 machine has a GICv3 or none.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    public static GuestMachine Create(
        IKvm kvm, GuestKind kind, GuestOptions options, InterruptChip chip = InterruptChip.Full, RegisterBatching? batching = null)
    {
        var (suited, description) = Suit(kvm, kind, options, chip);
        var program = GuestProgram.Create(kind, suited, description.Vcpus[0].Features);
        var machine = MachineBuilder.Create(kvm, description, batching);
        try
        {
            program.Load((address, bytes) => machine.Memory.Write(address, bytes.Span));
            for (var vcpu = 0; vcpu < options.Vcpus; vcpu++)
                program.Enter(machine.Vcpus[vcpu].Vcpu, vcpu);
            return new GuestMachine(machine, program, new SequenceDevice(options.Vcpus));
        }
        catch
        {
            machine.Dispose();
            throw;
        }
    }

    /// <summary>Takes a restored machine whose guest is the one that the device's state tells of.</summary>
    /// <param name="machine">The machine.</param>
    /// <param name="state">What <see cref="CaptureDevice"/> gave at the checkpoint.</param>
    /// <exception cref="InvalidDataException">The bytes tell of no guest that this program knows.</exception>
    public static GuestMachine Restore(Machine machine, ReadOnlySpan<byte> state)
    {
        var (kind, options, device) = GuestState.Read(state);
        var program = GuestProgram.Create(kind, options, machine.Description.Vcpus[0].Features);
        var sequence = new SequenceDevice(options.Vcpus);
        sequence.RestoreState(device);
        return new GuestMachine(machine, program, sequence);
    }

    /// <inheritdoc/>
    public ExitAction Handle(int vcpu, in VcpuExit exit)
    {
        ushort? port = exit.Reason switch
        {
            VcpuExitReason.Io => exit.Port,
            VcpuExitReason.Mmio => SequenceDevice.PortAt(exit.GuestAddress),
            _ => null,
        };
        var isTaken = port is { } known
            && (exit.IsWrite ? _device.TryWrite(vcpu, known, exit.Data) : _device.TryRead(vcpu, known, exit.Data));
        return isTaken
            ? ExitAction.Continue
            : throw new InvalidOperationException(
                $"vCPU {vcpu} of the {Program.Kind} guest made an exit that it never makes: {exit.Reason}, port 0x{exit.Port:x}, address 0x{exit.GuestAddress:x}");
    }

    /// <summary>The guest's kind and options with its device's state; taken while all vCPUs are parked.</summary>
    public ReadOnlyMemory<byte> CaptureDevice() => GuestState.Write(Program, _device.SaveState());

    /// <summary>Verifies the machine as it stands; its vCPUs must be stopped.</summary>
    public GuestVerdict Verify()
    {
        foreach (var vcpu in Machine.Vcpus)
            vcpu.Capture();
        return Verify([.. Machine.Vcpus.Select(vcpu => vcpu.ToStateList())]);
    }

    /// <summary>Verifies vCPU states against the memory and the device as they stand.</summary>
    public GuestVerdict Verify(IReadOnlyList<StateList> vcpus) =>
        Program.Verify(Machine.Memory.Read, vcpus, _device);

    /// <inheritdoc/>
    public void Dispose() => Machine.Dispose();

    private static (GuestOptions Options, MachineDescription Machine) Suit(IKvm kvm, GuestKind kind, GuestOptions options, InterruptChip chip)
    {
        if (options.Architecture != MachineArchitecture.X64)
        {
            // The timer guest takes interrupts; the others run with a GIC and without.
            var gic = kind == GuestKind.Timer || chip == InterruptChip.GicV3 ? Arm64TimerProgram.Gic : null;
            return (options with { UseYmm = false }, Arm64Machine.Describe(kvm, options.Vcpus, options.MemoryBytes, gic: gic));
        }

        if (kind == GuestKind.Timer && chip == InterruptChip.None)
            throw new ArgumentException("The timer guest needs a local APIC in the kernel.", nameof(chip));
        var suited = kind == GuestKind.Timer
            ? TimerFeatures.Choose(kvm, options)
            : options with { UseYmm = ((CpuidLeaf.Find(kvm.GetSupportedCpuid().Span, 7, 0)?.Ebx ?? 0) & Avx2) != 0 };
        return (suited, TimerFeatures.Complete(X64Machine.Describe(kvm, options.Vcpus, options.MemoryBytes, chip), suited));
    }
}
