using System.Buffers.Binary;
using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.Arm64;

/// <summary>An AArch64 virtual machine, with a GICv3 in the kernel or with no interrupt controller there.</summary>
public sealed class Arm64Machine : Machine
{
    private const ulong SayHowManyWereDone = 1; // KVM_MANY_REGS_RETURN_COUNT
    private const uint PointerAuthAddress = 171; // KVM_CAP_ARM_PTRAUTH_ADDRESS
    private const uint PointerAuthGeneric = 172; // KVM_CAP_ARM_PTRAUTH_GENERIC

    private readonly IVm _vm;
    private readonly Arm64Gic? _gic;
    private readonly Arm64Counter _counter;

    private Arm64Machine(
        IVm vm, IGuestMemory memory, IReadOnlyList<IVcpu> vcpus, Arm64Gic? gic, ulong counterHz, MachineDescription description, RegisterBatching? batching)
    {
        _vm = vm;
        _gic = gic;
        _counter = new Arm64Counter(counterHz);
        Memory = memory;
        Description = description;
        Vcpus = [.. vcpus.Select(vcpu => new Arm64VcpuState(vcpu, batching))];
    }

    /// <inheritdoc/>
    public override MachineDescription Description { get; }

    /// <inheritdoc/>
    public override IGuestMemory Memory { get; }

    /// <inheritdoc/>
    public override IVm Vm => _vm;

    /// <inheritdoc/>
    public override ImmutableArray<VcpuState> Vcpus { get; }

    /// <inheritdoc/>
    /// <remarks>The guest's time is its counter, which its vCPUs have.</remarks>
    public override long? GuestClockNs => null;

    /// <summary>Describes a plain machine that this host can build.</summary>
    /// <param name="kvm">The kernel; a VM is made to ask what its processor prefers, and thrown away.</param>
    /// <param name="vcpus">How many vCPUs; their ids are 0, 1, 2, ….</param>
    /// <param name="memoryBytes">Guest memory from address 0, a multiple of 4096.</param>
    /// <param name="features">What the vCPUs have; null for PSCI, and SVE and pointer authentication where the host offers them.</param>
    /// <param name="gic">The GICv3; null for a machine without an interrupt controller in the kernel.</param>
    public static MachineDescription Describe(IKvm kvm, int vcpus, ulong memoryBytes, Arm64VcpuFeatures? features = null, GicDescription? gic = null)
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
            gic is null ? InterruptChip.None : InterruptChip.GicV3,
            [.. Enumerable.Range(0, vcpus).Select(i => new VcpuDescription((uint)i, init))],
            [],
            null,
            null,
            ReadOnlyMemory<byte>.Empty)
        {
            Gic = gic,
        };
    }

    /// <summary>Builds a machine as described: empty memory, vCPUs in their reset state.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="description">What to build.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <param name="vm">A VM of that kernel in which nothing has been made yet; it is disposed of with the machine, or where that cannot be built. Null: one is created.</param>
    /// <exception cref="KvmException">This host can't build it.</exception>
    /// <exception cref="ArgumentException">The description has an interrupt controller that is none of arm64's.</exception>
    public static Arm64Machine Create(IKvm kvm, MachineDescription description, RegisterBatching? batching = null, IVm? vm = null)
    {
        vm ??= kvm.CreateVm();
        IGuestMemory? memory = null;
        Arm64Gic? gic = null;
        var vcpus = new List<IVcpu>();
        try
        {
            RequireKnownChip(description);
            foreach (var capability in description.Capabilities)
                vm.EnableCapability(capability);

            // Not part of the description: it changes nothing that a guest sees, only what a refused batch says.
            if (vm.CheckExtension(KvmCapability.ManyRegs) > 0)
                vm.EnableCapability(new EnabledCapability(KvmCapability.ManyRegs, 0, [SayHowManyWereDone]));
            memory = vm.CreateMemory(description.Memory);
            if (description.Gic is { } described)
                gic = Arm64Gic.Create(vm, described);

            // In the original order, which decides whose redistributor is which (arm-vgic-v3.rst). All vCPUs before the first is initialised: MPIDR_EL1 and the VM's features are one for all of them.
            foreach (var each in description.Vcpus)
                vcpus.Add(vm.CreateVcpu(each.Id, vcpus.Count));
            for (var i = 0; i < vcpus.Count; i++)
                Initialise(vcpus[i], new Arm64VcpuInit(description.Vcpus[i].Features));
            gic?.Start(description.Gic!, vcpus);
            for (var i = 0; i < vcpus.Count; i++)
                Arm64Pmu.Start(vcpus[i], new Arm64VcpuInit(description.Vcpus[i].Features).Features, gic is not null);
            return new Arm64Machine(vm, memory, vcpus, gic, kvm.CounterHz, description, batching);
        }
        catch
        {
            Free(vm, memory, vcpus, gic);
            throw;
        }
    }

    /// <summary>
    /// Takes a machine that its owner has built. But for SVE's vector lengths, the GICv3's addresses and number of interrupts and the performance
    /// monitor's interrupt the kernel tells nothing of the description, so it must be what the machine was built with: timers on their usual
    /// interrupts, no ITS, no steal time, no memory tags.
    /// </summary>
    /// <exception cref="NotSupportedException">The machine has what a checkpoint can't hold.</exception>
    /// <param name="vm">The VM; this machine disposes of it, of the memory and of the vCPUs.</param>
    /// <param name="memory">The memory behind the VM's slots.</param>
    /// <param name="vcpus">The vCPUs in the order of their creation, initialised and finalized.</param>
    /// <param name="description">What the machine was built with; the vector lengths of its vCPUs are replaced.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <param name="gic">The description's GICv3, initialised; this machine disposes of it.</param>
    /// <param name="counterHz">CNTFRQ_EL0, as <see cref="IKvm.CounterHz"/> gives it; 0 where nobody knows.</param>
    public static Arm64Machine Adopt(
        IVm vm,
        IGuestMemory memory,
        IReadOnlyList<IVcpu> vcpus,
        MachineDescription description,
        RegisterBatching? batching = null,
        IKvmDevice? gic = null,
        ulong counterHz = 0)
    {
        RequireKnownChip(description);
        if (gic is null != description.Gic is null)
            throw new ArgumentException("The GICv3 and its description go together.", nameof(gic));
        if (vcpus.Count != description.Vcpus.Length)
            throw new ArgumentException($"The description has {description.Vcpus.Length} vCPUs, the machine {vcpus.Count}.", nameof(description));
        var described = description with
        {
            Memory = memory.Regions,
            Vcpus = [.. description.Vcpus.Zip(vcpus, (each, vcpu) => each with { Features = WithLengths(each.Features, vcpu) })],
        };
        for (var i = 0; i < vcpus.Count; i++)
            Arm64Pmu.RequireUsual(vcpus[i], new Arm64VcpuInit(description.Vcpus[i].Features).Features, gic is not null);
        var adopted = gic is null ? null : Arm64Gic.Adopt(gic, description.Gic!, vcpus);
        return new Arm64Machine(vm, memory, vcpus, adopted, counterHz, described, batching);
    }

    /// <inheritdoc/>
    public override void CaptureVm() => _gic?.Capture();

    /// <inheritdoc/>
    /// <remarks>The counters' offset, which belongs to the VM too, is in the vCPUs' counters.</remarks>
    public override StateList ToVmStateList() => StateList.Create([.. _counter.Items(), .. _gic?.Items() ?? []]);

    /// <inheritdoc/>
    /// <remarks>
    /// The lists of checkpoint and machine are compared first, and where the policy does not let them differ nothing is set.
    /// </remarks>
    /// <exception cref="NotSupportedException">The clock is to advance, and nobody knows how fast this host's counter counts.</exception>
    public override RestoreReport Restore(
        StateDocument document,
        ClockPolicy clock,
        DateTimeOffset takenAt,
        DateTimeOffset now,
        RegisterPolicy? policy = null,
        IReadOnlyList<RegisterRefusal>? features = null)
    {
        if (clock == ClockPolicy.Advance)
            document = document with { Vcpus = [.. document.Vcpus.Select(vcpu => _counter.Advance(vcpu, now - takenAt))] };

        var shape = new StateComparison(policy ?? RegisterPolicy.Strict);
        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            shape.AddShape(i, document.Vcpus[i], Vcpus[i].ToStateList());
        }

        CaptureVm();
        shape.AddShape(null, document.Vm, ToVmStateList());
        if (shape.Report.Refusals.Count > 0)
            return shape.Report;

        var refusals = new List<RegisterRefusal>();
        foreach (var vcpu in Vcpus)
            refusals.AddRange(vcpu.Restore(document.Vcpus[vcpu.Vcpu.Index]));

        // After the vCPUs, whose interfaces are part of it, and whose identification registers say what they have.
        if (_gic is not null)
            refusals.AddRange(_gic.Restore(document.Vm));

        var comparison = new StateComparison(policy ?? RegisterPolicy.Strict);
        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            comparison.Add(i, document.Vcpus[i], Vcpus[i].ToStateList(), refusals.Where(refusal => refusal.Vcpu == i));
        }

        CaptureVm();
        comparison.Add(null, document.Vm, ToVmStateList(), refusals.Where(refusal => refusal.Vcpu is null));
        return comparison.Report;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Free(_vm, Memory, Vcpus.Select(state => state.Vcpu), _gic);
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

    private static void RequireKnownChip(MachineDescription description)
    {
        if (description.InterruptChip is not (InterruptChip.None or InterruptChip.GicV3))
            throw new ArgumentException($"An arm64 machine has no interrupt controller {description.InterruptChip}.", nameof(description));
        if (description.InterruptChip == InterruptChip.GicV3 != description.Gic is not null)
            throw new ArgumentException("A GICv3 needs its addresses and its number of interrupts, and nothing else has them.", nameof(description));
    }

    private static void Free(IVm vm, IGuestMemory? memory, IEnumerable<IVcpu> vcpus, Arm64Gic? gic)
    {
        gic?.Dispose();
        foreach (var vcpu in vcpus)
            vcpu.Dispose();
        vm.Dispose();
        // Last: while the VM is there, its slots point at this memory.
        memory?.Dispose();
    }
}
