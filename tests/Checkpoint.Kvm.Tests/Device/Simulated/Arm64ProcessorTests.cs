using System.Globalization;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Device.Simulated.Arm64;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.Arm64;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Contracts;
using Checkpoint.Kvm.Tests.Machines;
using Checkpoint.Protocol.State;
using Checkpoint.Remote;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

/// <summary>
/// What the simulated kernel's processors are made of: lists that an emulated arm64 machine's own KVM gave.
/// CHECKPOINT_WRITE_PROCESSORS=FOLDER asks those machines again and writes the files there.
/// </summary>
public sealed class Arm64ProcessorTests
{
    public static TheoryData<string> Names => [.. Arm64Processor.Names];

    [Arm64WriterTheory]
    [MemberData(nameof(Names))]
    public void An_emulated_machine_lists_what_its_file_says(string name)
    {
        var path = Path.Combine(Environment.GetEnvironmentVariable(Arm64WriterTheoryAttribute.Folder)!, name + ".txt");
        using var agent = AgentHost.StartArm64(name);
        using var kvm = RemoteKvm.Open(agent.Connection);
        File.WriteAllLines(path, Ask(kvm, name));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_simulated_processor_lists_what_the_real_one_lists(string name)
    {
        var processor = Arm64Processor.Of(name);
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, Arm64 = SimulatedArm64Options.Of(processor) });
        using var machine = MachineBuilder.Create(kvm, Arm64Machine.Describe(kvm, 1, 1 << 20, (Arm64VcpuFeatures)processor.Features));
        var vcpu = machine.Vcpus[0].Vcpu;
        Assert.Equal(processor.Listed.Order(), vcpu.GetRegList().Order());
        var value = new byte[sizeof(ulong)];
        foreach (var register in processor.SystemRegisters.Where(each => !each.GoesOn))
        {
            vcpu.GetOneReg(register.Id, value);
            Assert.Equal((RegisterNames.NameOf(register.Id), register.ResetValue), (RegisterNames.NameOf(register.Id), BitConverter.ToUInt64(value)));
        }
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_register_of_a_simulated_processor_takes_what_the_real_one_takes(string name)
    {
        var processor = Arm64Processor.Of(name);
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, Arm64 = SimulatedArm64Options.Of(processor) });
        using var machine = MachineBuilder.Create(kvm, Arm64Machine.Describe(kvm, 1, 1 << 20, (Arm64VcpuFeatures)processor.Features));
        foreach (var register in processor.SystemRegisters.Where(each => !each.GoesOn && each.IsPlain))
            Assert.Equal((RegisterNames.NameOf(register.Id), (ulong?)register.Writable), (RegisterNames.NameOf(register.Id), Arm64Probe.WritableBits(machine.Vcpus[0].Vcpu, register.Id)));
    }

    [Theory]
    [MemberData(nameof(Names))]
    public void A_guest_is_saved_and_restored_on_a_simulated_processor(string name)
    {
        using var kvm = new SimulatedKvm(new() { Architecture = MachineArchitecture.Arm64, Arm64 = SimulatedArm64Options.Of(Arm64Processor.Of(name)) });
        var options = new GuestOptions { Architecture = MachineArchitecture.Arm64, Vcpus = 2, Seed = 7, ExitEverySteps = 64, WriteEverySteps = 16 };
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, options, InterruptChip.GicV3);
        RunGuest.For(guest, exits: 5);
        var saved = RunGuest.Capture(guest.Machine);
        using var fresh = MachineBuilder.Create(kvm, saved.Machine);
        fresh.Memory.Write(0, guest.Machine.Memory.ReadBytes(0, options.MemoryBytes));
        Assert.Equal([], fresh.Restore(saved, ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
        using var restored = GuestMachine.Restore(fresh, guest.CaptureDevice().Span);
        Assert.Equal([], restored.Verify().Failures);
    }

    // The list of a fresh vCPU with everything that the processor offers: id, and of system registers the reset value and the
    // bits that can be written one at a time.
    private static List<string> Ask(IKvm kvm, string name)
    {
        var lines = new List<string>();
        var description = Arm64Machine.Describe(kvm, 1, 1 << 20, Offered(kvm), new GicDescription(0x0800_0000, 0x080a_0000, 64));
        using var machine = MachineBuilder.Create(kvm, description);
        var vcpu = machine.Vcpus[0].Vcpu;
        lines.Add($"# The registers of a vCPU of {name} as QEMU emulates it, with Linux 6.12's KVM; written by Arm64ProcessorTests.");
        lines.Add(string.Create(CultureInfo.InvariantCulture, $"features {new Arm64VcpuInit(description.Vcpus[0].Features).Features:d} vectors {VectorLengths(description)}"));
        // All values before the first is changed: some registers share what they hold.
        var ids = vcpu.GetRegList().Order().ToArray();
        var image = RegisterImage.Create(RegisterBatching.OneReg, ids);
        image.Read(vcpu);
        for (var i = 0; i < ids.Length; i++)
        {
            var id = ids[i];
            if (new RegisterId(id).Kind != RegisterKind.SystemRegister)
            {
                lines.Add(string.Create(CultureInfo.InvariantCulture, $"{id:x16}"));
                continue;
            }

            var isCounter = Arm64Counter.IsCounter(id);
            var value = isCounter ? 0 : BitConverter.ToUInt64(image.ValueOf(i));
            var writable = isCounter ? null : Arm64Probe.WritableBits(vcpu, id);
            lines.Add(string.Create(CultureInfo.InvariantCulture, $"{id:x16} {value:x} {writable?.ToString("x", CultureInfo.InvariantCulture) ?? "-"} {RegisterNames.NameOf(id)}"));
        }

        return lines;
    }

    private static Arm64VcpuFeatures Offered(IKvm kvm) =>
        new Arm64VcpuInit(Arm64Machine.Describe(kvm, 1, 1 << 20).Vcpus[0].Features).Features
        | (kvm.CheckExtension(KvmCapability.ArmPmuV3) > 0 ? Arm64VcpuFeatures.Pmu : 0);

    private static int VectorLengths(MachineDescription description)
    {
        var lengths = new Arm64VcpuInit(description.Vcpus[0].Features).VectorLengths;
        return lengths.IsEmpty ? 0 : 64 - System.Numerics.BitOperations.LeadingZeroCount(BitConverter.ToUInt64(lengths.Span));
    }
}

/// <summary>Asks a vCPU what it takes.</summary>
internal static class Arm64Probe
{
    /// <summary>
    /// The bits of a register that can be turned, one at a time, and then read back turned; null where it does not take its value
    /// back afterwards.
    /// </summary>
    internal static ulong? WritableBits(IVcpu vcpu, ulong id)
    {
        var value = new byte[sizeof(ulong)];
        vcpu.GetOneReg(id, value);
        var held = BitConverter.ToUInt64(value);
        var writable = 0UL;
        for (var bit = 0; bit < 64; bit++)
        {
            var wanted = held ^ (1UL << bit);
            if (Refused.ErrnoOf(() => vcpu.SetOneReg(id, BitConverter.GetBytes(wanted))) != 0)
                continue;
            vcpu.GetOneReg(id, value);
            if (BitConverter.ToUInt64(value) == wanted)
                writable |= 1UL << bit;
            vcpu.SetOneReg(id, BitConverter.GetBytes(held));
            vcpu.GetOneReg(id, value);
            if (BitConverter.ToUInt64(value) != held)
                return null;
        }

        return writable;
    }
}

/// <summary>A case that asks an emulated machine, where the variable names a folder and there is such a machine.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class Arm64WriterTheoryAttribute : TheoryAttribute
{
    internal const string Folder = "CHECKPOINT_WRITE_PROCESSORS";

    public Arm64WriterTheoryAttribute() => Skip =
        string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Folder)) ? $"{Folder} names no folder." : NeedsArm64KernelAttribute.ReasonAgainst;
}
