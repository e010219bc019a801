using System.Buffers.Binary;
using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>An AArch64 virtual machine, without an interrupt controller in the kernel.</summary>
public sealed class Arm64Machine : Machine
{
    private const uint PointerAuthAddress = 171; // KVM_CAP_ARM_PTRAUTH_ADDRESS
    private const uint PointerAuthGeneric = 172; // KVM_CAP_ARM_PTRAUTH_GENERIC

    private readonly IVm _vm;

    private Arm64Machine(IVm vm, IGuestMemory memory, IReadOnlyList<IVcpu> vcpus, MachineDescription description, RegisterBatching? batching)
    {
        _vm = vm;
        Memory = memory;
        Description = description;
        Vcpus = [.. vcpus.Select(vcpu => new Arm64VcpuState(vcpu, batching))];
    }

    /// <inheritdoc/>
    public override MachineDescription Description { get; }

    /// <inheritdoc/>
    public override IGuestMemory Memory { get; }

    /// <inheritdoc/>
    public override ImmutableArray<VcpuState> Vcpus { get; }

    /// <inheritdoc/>
    /// <remarks>The guest's time is its counter, in ticks of a frequency that KVM does not tell.</remarks>
    public override long? GuestClockNs => null;

    /// <summary>Describes a plain machine that this host can build.</summary>
    /// <param name="kvm">The kernel; a VM is made to ask what its processor prefers, and thrown away.</param>
    /// <param name="vcpus">How many vCPUs; their ids are 0, 1, 2, ….</param>
    /// <param name="memoryBytes">Guest memory from address 0, a multiple of 4096.</param>
    /// <param name="features">What the vCPUs have; null for PSCI, and SVE and pointer authentication where the host offers them.</param>
    public static MachineDescription Describe(IKvm kvm, int vcpus, ulong memoryBytes, Arm64VcpuFeatures? features = null)
    {
        using var vm = kvm.CreateVm();
        var preferred = new byte[KvmRequests.ArmPreferredTarget.ArgumentSize];
        vm.Get(KvmRequests.ArmPreferredTarget, preferred);
        var init = Arm64VcpuInit.Compose(preferred, features ?? Offered(kvm));
        if ((new Arm64VcpuInit(init).Features & Arm64VcpuFeatures.Sve) != 0)
            init = [.. init, .. LengthsOfFresh(vm, init)];
        return new MachineDescription(
            MachineArchitecture.Arm64,
            [new MemoryRegion(0, 0, 0, memoryBytes)],
            InterruptChip.None,
            [.. Enumerable.Range(0, vcpus).Select(i => new VcpuDescription((uint)i, init))],
            [],
            null,
            null,
            ReadOnlyMemory<byte>.Empty);
    }

    /// <summary>Builds a machine as described: empty memory, vCPUs in their reset state.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="description">What to build.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <exception cref="KvmException">This host can't build it.</exception>
    /// <exception cref="ArgumentException">The description has an interrupt controller.</exception>
    public static Arm64Machine Create(IKvm kvm, MachineDescription description, RegisterBatching? batching = null)
    {
        if (description.InterruptChip != InterruptChip.None)
            throw new ArgumentException("An arm64 machine's interrupt controller can't be built yet: describe it with InterruptChip.None.", nameof(description));
        var vm = kvm.CreateVm();
        IGuestMemory? memory = null;
        var vcpus = new List<IVcpu>();
        try
        {
            foreach (var capability in description.Capabilities)
                vm.EnableCapability(capability);
            memory = vm.CreateMemory(description.Memory);

            // All vCPUs before the first is initialised: MPIDR_EL1 and the VM's features are one for all of them.
            foreach (var each in description.Vcpus)
                vcpus.Add(vm.CreateVcpu(each.Id, vcpus.Count));
            for (var i = 0; i < vcpus.Count; i++)
                Initialise(vcpus[i], new Arm64VcpuInit(description.Vcpus[i].Features));
            return new Arm64Machine(vm, memory, vcpus, description, batching);
        }
        catch
        {
            Free(vm, memory, vcpus);
            throw;
        }
    }

    /// <summary>
    /// Takes a machine that its owner has built. The kernel tells nothing of the description but SVE's vector lengths, so it
    /// must be what the machine was built with.
    /// </summary>
    /// <param name="vm">The VM; this machine disposes of it, of the memory and of the vCPUs.</param>
    /// <param name="memory">The memory behind the VM's slots.</param>
    /// <param name="vcpus">The vCPUs in the order of their creation, initialised and finalized.</param>
    /// <param name="description">What the machine was built with; the vector lengths of its vCPUs are replaced.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    public static Arm64Machine Adopt(
        IVm vm,
        IGuestMemory memory,
        IReadOnlyList<IVcpu> vcpus,
        MachineDescription description,
        RegisterBatching? batching = null)
    {
        if (vcpus.Count != description.Vcpus.Length)
            throw new ArgumentException($"The description has {description.Vcpus.Length} vCPUs, the machine {vcpus.Count}.", nameof(description));
        var described = description with
        {
            Memory = memory.Regions,
            Vcpus = [.. description.Vcpus.Zip(vcpus, (each, vcpu) => each with { Features = WithLengths(each.Features, vcpu) })],
        };
        return new Arm64Machine(vm, memory, vcpus, described, batching);
    }

    /// <inheritdoc/>
    public override void CaptureVm()
    {
        // What belongs to the VM alone is its counters' offset, and that is in the vCPUs' counters.
    }

    /// <inheritdoc/>
    public override StateList ToVmStateList() => StateList.Empty;

    /// <inheritdoc/>
    /// <remarks>
    /// The lists of checkpoint and machine are compared first, and where the policy does not let them differ nothing is set.
    /// </remarks>
    /// <exception cref="NotSupportedException">The clock is to advance: the counter's frequency, which that needs, KVM does not tell.</exception>
    public override RestoreReport Restore(
        StateDocument document, ClockPolicy clock, DateTimeOffset takenAt, DateTimeOffset now, RegisterPolicy? policy = null)
    {
        if (clock == ClockPolicy.Advance)
            throw new NotSupportedException("An arm64 machine's clock can't be advanced: KVM does not tell the counter's frequency; freeze it.");

        var shape = new StateComparison(policy ?? RegisterPolicy.Strict);
        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            shape.AddShape(i, document.Vcpus[i], Vcpus[i].ToStateList());
        }

        if (shape.Report.Refusals.Count > 0)
            return shape.Report;

        var refusals = new List<RegisterRefusal>();
        foreach (var vcpu in Vcpus)
            refusals.AddRange(vcpu.Restore(document.Vcpus[vcpu.Vcpu.Index]));

        var comparison = new StateComparison(policy ?? RegisterPolicy.Strict);
        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            comparison.Add(i, document.Vcpus[i], Vcpus[i].ToStateList(), refusals.Where(refusal => refusal.Vcpu == i));
        }

        comparison.Add(null, document.Vm, ToVmStateList(), []);
        return comparison.Report;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Free(_vm, Memory, Vcpus.Select(state => state.Vcpu));
    }

    // The beginning of the order in which a vCPU is made and restored; the rest is Arm64VcpuState's.
    private static void Initialise(IVcpu vcpu, Arm64VcpuInit init)
    {
        // First of all calls: before it the vCPU has no registers (ENOEXEC; api.rst 4.82). Never POWER_OFF: whether the vCPU
        // runs is its MP_STATE's to say.
        vcpu.Set(KvmRequests.ArmVcpuInit, init.ToStruct());
        if ((init.Features & Arm64VcpuFeatures.Sve) == 0)
            return;

        // Between init and finalize only: afterwards the lengths are fixed (EPERM), and they decide the size of the registers
        // (api.rst 4.68, "arm64 SVE vector length pseudo-register").
        if (!init.VectorLengths.IsEmpty)
            vcpu.SetOneReg(Arm64Registers.SveLengths, init.VectorLengths.Span);

        // Before the list of registers is asked for, and before the Z registers, which take the place of the V registers
        // (api.rst 4.119; EPERM without it).
        Span<byte> feature = stackalloc byte[sizeof(int)];
        BinaryPrimitives.WriteInt32LittleEndian(feature, SveFeatureNumber);
        vcpu.Set(KvmRequests.ArmVcpuFinalize, feature);
    }

    // KVM_ARM_VCPU_SVE as KVM_ARM_VCPU_FINALIZE takes it: the number of the feature's bit.
    private static int SveFeatureNumber => int.Log2((int)Arm64VcpuFeatures.Sve);

    private static Arm64VcpuFeatures Offered(IKvm kvm)
    {
        var features = Arm64VcpuFeatures.Psci;
        if (kvm.CheckExtension(KvmCapability.ArmSve) > 0)
            features |= Arm64VcpuFeatures.Sve;
        if (kvm.CheckExtension(PointerAuthAddress) > 0 && kvm.CheckExtension(PointerAuthGeneric) > 0)
            features |= Arm64VcpuFeatures.PointerAuthAddress | Arm64VcpuFeatures.PointerAuthGeneric;
        return features;
    }

    private static byte[] LengthsOfFresh(IVm vm, byte[] init)
    {
        using var vcpu = vm.CreateVcpu(0, 0);
        vcpu.Set(KvmRequests.ArmVcpuInit, init);
        return LengthsOf(vcpu);
    }

    private static byte[] LengthsOf(IVcpu vcpu)
    {
        var lengths = new byte[RegisterBatch.SizeOf(Arm64Registers.SveLengths)];
        vcpu.GetOneReg(Arm64Registers.SveLengths, lengths);
        return lengths;
    }

    private static ReadOnlyMemory<byte> WithLengths(ReadOnlyMemory<byte> features, IVcpu vcpu) =>
        (new Arm64VcpuInit(features).Features & Arm64VcpuFeatures.Sve) == 0
            ? features
            : (byte[])[.. features.Span[..Arm64VcpuInit.StructSize], .. LengthsOf(vcpu)];

    private static void Free(IVm vm, IGuestMemory? memory, IEnumerable<IVcpu> vcpus)
    {
        foreach (var vcpu in vcpus)
            vcpu.Dispose();
        vm.Dispose();
        // Last: while the VM is there, its slots point at this memory.
        memory?.Dispose();
    }
}
