using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>An x86-64 virtual machine.</summary>
public sealed class X64Machine : Machine
{
    /// <summary>Where memory above the hole for devices begins: with more than 3 GiB the rest lies from here on.</summary>
    public const ulong HighMemoryStart = 4UL << 30;

    /// <summary>Where the hole for devices begins: local APICs, IOAPIC and the kernel's own pages lie above.</summary>
    public const ulong LowMemoryEnd = 3UL << 30;

    // Three pages that Intel hosts need for themselves (KVM_SET_TSS_ADDR) and one more, below the firmware's place.
    private const ulong IdentityMap = 0xfffb_c000;
    private const ulong Tss = 0xfffb_d000;
    private const ulong IoapicPins = 24;

    private readonly IKvm _kvm;
    private readonly IVm _vm;
    private readonly X64VmState _vmState;
    private readonly ImmutableArray<X64VcpuState> _states;

    private X64Machine(IKvm kvm, IVm vm, IGuestMemory memory, IReadOnlyList<IVcpu> vcpus, MachineDescription description, RegisterBatching? batching)
    {
        _kvm = kvm;
        _vm = vm;
        Memory = memory;
        Description = description;
        _vmState = new X64VmState(vm, description.InterruptChip);
        var plan = X64StatePlan.Probe(kvm, vcpus[0], description.InterruptChip, batching);
        _states = [.. vcpus.Select(vcpu => new X64VcpuState(vcpu, plan))];
        Vcpus = ImmutableArray<VcpuState>.CastUp(_states);
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
    public override long? GuestClockNs => _vmState.GuestClockNs;

    /// <summary>Describes a plain machine that this host can build.</summary>
    /// <param name="kvm">The kernel: its supported CPUID becomes each vCPU's.</param>
    /// <param name="vcpus">How many vCPUs; their APIC ids are 0, 1, 2, ….</param>
    /// <param name="memoryBytes">Guest memory, a multiple of 4096. Above 3 GiB the rest lies from 4 GiB on.</param>
    /// <param name="chip">Which interrupt controllers the kernel emulates.</param>
    public static MachineDescription Describe(IKvm kvm, int vcpus, ulong memoryBytes, InterruptChip chip)
    {
        var supported = kvm.GetSupportedCpuid();
        var low = Math.Min(memoryBytes, LowMemoryEnd);
        var memory = ImmutableArray.Create(new MemoryRegion(0, 0, 0, low));
        if (memoryBytes > low)
            memory = memory.Add(new MemoryRegion(1, 0, HighMemoryStart, memoryBytes - low));
        return new MachineDescription(
            MachineArchitecture.X64,
            memory,
            chip,
            [.. Enumerable.Range(0, vcpus).Select(i => new VcpuDescription((uint)i, X64Cpuid.ForVcpu(supported.Span, (uint)i)))],
            [],
            kvm.CheckExtension(KvmCapability.SetTssAddress) > 0 ? Tss : null,
            kvm.CheckExtension(KvmCapability.SetIdentityMapAddress) > 0 ? IdentityMap : null,
            ReadOnlyMemory<byte>.Empty);
    }

    /// <summary>Builds a machine as described: empty memory, vCPUs in their reset state.</summary>
    /// <param name="kvm">Where to build it.</param>
    /// <param name="description">What to build.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    /// <param name="vm">A VM of that kernel in which nothing has been made yet; it is disposed of with the machine, or where that cannot be built. Null: one is created.</param>
    /// <exception cref="KvmException">This host can't build it.</exception>
    public static X64Machine Create(IKvm kvm, MachineDescription description, RegisterBatching? batching = null, IVm? vm = null)
    {
        vm ??= kvm.CreateVm();
        IGuestMemory? memory = null;
        var vcpus = new List<IVcpu>();
        try
        {
            foreach (var capability in description.Capabilities)
                vm.EnableCapability(capability);

            // Memory before the interrupt chips: a slot that is added later makes KVM look through all routes.
            memory = vm.CreateMemory(description.Memory);
            if (description.TssAddress is { } tss)
                vm.SetTssAddress(tss);
            if (description.IdentityMapAddress is { } identityMap)
                vm.SetIdentityMapAddress(identityMap);
            CreateInterruptChips(vm, description);

            foreach (var each in description.Vcpus)
            {
                vcpus.Add(vm.CreateVcpu(each.Id, vcpus.Count));
                // Before the first KVM_RUN: a later change fails with EINVAL.
                vcpus[^1].SetCpuid(each.Features.Span);
            }

            return new X64Machine(kvm, vm, memory, vcpus, description, batching);
        }
        catch
        {
            Free(vm, memory, vcpus);
            throw;
        }
    }

    /// <summary>
    /// Takes a machine that its owner has built. The vCPUs' CPUID is read from them; nothing else of the description can be
    /// read from the kernel, so it must be what the machine was built with.
    /// </summary>
    /// <param name="kvm">The kernel that the machine runs on.</param>
    /// <param name="vm">The VM; this machine disposes of it, of the memory and of the vCPUs.</param>
    /// <param name="memory">The memory behind the VM's slots.</param>
    /// <param name="vcpus">The vCPUs in the order of their creation, CPUID set.</param>
    /// <param name="description">What the machine was built with; the features of its vCPUs are replaced.</param>
    /// <param name="batching">How registers with ids are to travel; null for the best way that the kernel has.</param>
    public static X64Machine Adopt(
        IKvm kvm,
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
            Vcpus = [.. description.Vcpus.Zip(vcpus, (each, vcpu) => each with { Features = vcpu.GetCpuid() })],
        };
        return new X64Machine(kvm, vm, memory, vcpus, described, batching);
    }

    /// <inheritdoc/>
    public override void CaptureVm() => _vmState.Capture();

    /// <inheritdoc/>
    public override StateList ToVmStateList() => _vmState.ToStateList();

    /// <inheritdoc/>
    public override IReadOnlyList<RegisterRefusal> CheckFeatures(StateDocument document)
    {
        var check = new X64CpuidCheck(_kvm, Description.InterruptChip, Vcpus[0].Vcpu, Description.Vcpus[0].Features);
        var refusals = new List<RegisterRefusal>();
        for (var i = 0; i < Vcpus.Length; i++)
        {
            var features = document.Machine.Vcpus[i].Features;
            refusals.AddRange(check.Against(i, features));
            refusals.AddRange(check.Dropped(i, features, Vcpus[i].Vcpu.GetCpuid()));
        }

        return refusals;
    }

    /// <inheritdoc/>
    public override RestoreReport Restore(
        StateDocument document,
        ClockPolicy clock,
        DateTimeOffset takenAt,
        DateTimeOffset now,
        RegisterPolicy? policy = null,
        IReadOnlyList<RegisterRefusal>? features = null)
    {
        var comparison = new StateComparison(policy ?? RegisterPolicy.Strict);
        comparison.AddFeatures(features ?? CheckFeatures(document));
        if (!HasTheShapeOf(document, comparison))
            return comparison.Report;

        var refusals = new List<RegisterRefusal>();

        // The clock first: the vCPUs' TSC offsets follow from it. Then the vCPUs: the LAPICs must be in place before the IOAPIC
        // sends what it holds pending.
        var clocks = _vmState.RestoreClock(document.Vm, clock, takenAt, now, refusals);
        for (var i = 0; i < Vcpus.Length; i++)
            refusals.AddRange(_states[i].Restore(document.Vcpus[i], clocks));
        _vmState.Restore(document.Vm, refusals);

        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            comparison.Add(i, document.Vcpus[i], Vcpus[i].ToStateList(), refusals.Where(refusal => refusal.Vcpu == i));
        }

        _vmState.Capture();
        comparison.Add(null, document.Vm, _vmState.ToStateList(), refusals.Where(refusal => refusal.Vcpu is null));
        return comparison.Report;
    }

    /// <inheritdoc/>
    public override ulong? FirstTouched(StateDocument document) => X64FirstTouch.Of(document.Vcpus[0]);

    // Before anything is set: the lists of registers are the same. Features that are missing do not keep the rest from being tried; registers that are missing do.
    private bool HasTheShapeOf(StateDocument document, StateComparison comparison)
    {
        var refused = comparison.Report.Refusals.Count;
        for (var i = 0; i < Vcpus.Length; i++)
        {
            Vcpus[i].Capture();
            comparison.AddShape(i, document.Vcpus[i], Vcpus[i].ToStateList());
        }

        _vmState.Capture();
        comparison.AddShape(null, document.Vm, _vmState.ToStateList());
        return comparison.Report.Refusals.Count == refused;
    }

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            Free(_vm, Memory, Vcpus.Select(state => state.Vcpu));
    }

    private static void Free(IVm vm, IGuestMemory? memory, IEnumerable<IVcpu> vcpus)
    {
        foreach (var vcpu in vcpus)
            vcpu.Dispose();
        vm.Dispose();
        // Last: while the VM is there, its slots point at this memory.
        memory?.Dispose();
    }

    private static void CreateInterruptChips(IVm vm, MachineDescription description)
    {
        switch (description.InterruptChip)
        {
            case InterruptChip.Split:
                vm.EnableCapability(new EnabledCapability(KvmCapability.SplitIrqchip, 0, [IoapicPins, 0, 0, 0]));
                break;
            case InterruptChip.Full:
                vm.CreateIrqchip();
                vm.CreatePit();
                break;
            default:
                break;
        }

        if (!description.GsiRouting.IsEmpty)
            vm.SetGsiRouting(description.GsiRouting.Span);
    }
}
