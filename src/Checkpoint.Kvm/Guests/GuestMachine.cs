using System.Buffers.Binary;
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
    /// <param name="options">Its shape and architecture; <see cref="GuestOptions.UseYmm"/> is decided by what the host supports.</param>
    /// <param name="chip">Which interrupt controllers the kernel emulates; an arm64 machine has none.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    public static GuestMachine Create(
        IKvm kvm, GuestKind kind, GuestOptions options, InterruptChip chip = InterruptChip.Full, RegisterBatching? batching = null)
    {
        var isX64 = options.Architecture == MachineArchitecture.X64;
        var program = GuestProgram.Create(kind, options with { UseYmm = isX64 && SupportsAvx2(kvm.GetSupportedCpuid().Span) });
        var machine = MachineBuilder.Create(
            kvm,
            isX64 ? X64Machine.Describe(kvm, options.Vcpus, options.MemoryBytes, chip) : Arm64Machine.Describe(kvm, options.Vcpus, options.MemoryBytes),
            batching);
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
        var program = GuestProgram.Create(kind, options);
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

    // CPUID leaf 7, subleaf 0, EBX bit 5; in KVM's list the subleaf is at offset 4, EBX at 16.
    private static bool SupportsAvx2(ReadOnlySpan<byte> cpuid)
    {
        for (var offset = 0; offset < cpuid.Length; offset += X64Cpuid.EntrySize)
        {
            var entry = cpuid.Slice(offset, X64Cpuid.EntrySize);
            if (BinaryPrimitives.ReadUInt32LittleEndian(entry) == 7 && BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]) == 0)
                return (BinaryPrimitives.ReadUInt32LittleEndian(entry[16..]) & (1 << 5)) != 0;
        }

        return false;
    }
}
