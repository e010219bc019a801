using System.CommandLine;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint show</c>.</summary>
internal sealed class ShowCommand : Verb
{
    private const int GsiRouteBytes = 48;

    private readonly Argument<CheckpointReference?> _reference = TypedOptions.ReferenceArgument("The checkpoint: VM@latest, VM@12, or the first 8 or more digits of its id");
    private readonly Option<bool> _registers = new("--registers") { Description = "Also the registers of each vCPU, by name, in hex" };

    public ShowCommand(GlobalOptions global, Surroundings around)
        : base("show", "Shows what is stored of a checkpoint: its event, its machine, its devices, its registers.", "checkpoint show a@latest --registers", global, around)
    {
        Arguments.Add(_reference);
        Options.Add(_registers);
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        await using var engine = invocation.OpenToRead();
        var (vm, committed, document) = await StoredCheckpoint.LoadAsync(engine, invocation.Parsed.GetValue(_reference)!, cancellationToken).ConfigureAwait(false);
        var history = await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
        var (guest, isCompressed, damage) = await ExamineAsync(engine.Store, vm, committed, document, cancellationToken).ConfigureAwait(false);
        var report = new ShowReport(invocation);
        report.Checkpoint(LineOf(vm, committed, document, history.Pinned.Contains(committed.Number), guest, isCompressed, invocation.Time.GetUtcNow()));
        if (invocation.Parsed.GetValue(_registers))
            ReportRegisters(report, vm, committed, document);
        if (damage is null)
            return ExitCode.Done;
        // What can be shown was shown; the damage is told all the same. A segment that is gone because its checkpoint was
        // pruned meanwhile is none.
        var now = await engine.Store.RecoverAsync(vm, cancellationToken).ConfigureAwait(false);
        return now.Live.ContainsKey(committed.Number) ? throw damage : ExitCode.Done;
    }

    private static async Task<(ShownGuest? Guest, bool? IsCompressed, IntegrityException? Damage)> ExamineAsync(
        CheckpointStore store, string vm, MachineEvent.CheckpointCommitted committed, StateDocument document, CancellationToken cancellationToken)
    {
        bool? isCompressed = null;
        try
        {
            if (committed.Segment is not null)
            {
                using var segment = store.Segments.Open(vm, committed);
                isCompressed = segment.IsCompressed;
            }

            return (await StoredGuest.ExamineAsync(store, vm, committed, document, cancellationToken).ConfigureAwait(false), isCompressed, null);
        }
        catch (IntegrityException damage)
        {
            return (null, isCompressed, damage);
        }
    }

    private static void ReportRegisters(ShowReport report, string vm, MachineEvent.CheckpointCommitted committed, StateDocument document)
    {
        for (var vcpu = 0; vcpu < document.Vcpus.Length; vcpu++)
            report.Registers(new RegistersLine(vm, committed.Number, vcpu, RegistersOf(document.Vcpus[vcpu])));
        report.Registers(new RegistersLine(vm, committed.Number, null, RegistersOf(document.Vm)));
    }

    private static Dictionary<string, string> RegistersOf(StateList state)
    {
        var registers = new Dictionary<string, string>();
        // Groups such as the general registers of x64 first, registers with an id of their own behind them: ids of groups lie above the kernel's.
        foreach (var item in state.OrderBy(item => item.Id < StateIds.X64GroupBase))
        {
            foreach (var field in RegisterNames.FieldsOf(item.Id, item.Value.Length))
                registers[field.Name] = Hex.Of(item.Value.Span.Slice(field.Offset, field.Size));
        }

        return registers;
    }

    private static ShowLine LineOf(
        string vm, MachineEvent.CheckpointCommitted committed, StateDocument document, bool isPinned, ShownGuest? guest, bool? isCompressed, DateTimeOffset now) => new(
        vm,
        committed.Number,
        committed.Id.ToString(),
        committed.At,
        Math.Max(0, (long)(now - committed.At).TotalMilliseconds),
        Words.Of(committed.Mode),
        committed.Parent,
        Words.Of(committed.Trigger),
        committed.Label,
        isPinned,
        committed.GuestClockNs,
        committed.Timings.PauseUs,
        committed.Timings.ParkUs,
        committed.Timings.CaptureUs,
        committed.Timings.StoreUs,
        committed.Batching,
        committed.State.SizeBytes,
        committed.State.Digest.ToString(),
        committed.Segment?.Name,
        committed.Segment?.SizeBytes ?? 0,
        committed.Segment?.IndexDigest.ToString(),
        isCompressed,
        committed.MemoryBytes,
        committed.DirtyPages,
        MachineOf(document),
        [.. document.Devices.Select(device => new ShownDevice(device.Name, device.State.Length))],
        guest);

    private static ShownMachine MachineOf(StateDocument document)
    {
        var machine = document.Machine;
        return new ShownMachine(
            Words.Of(machine.Architecture),
            SimulationMark.SeedOf(document) is not null,
            Words.Of(machine.InterruptChip),
            [.. machine.Vcpus.Select((vcpu, i) => new ShownVcpu(i, vcpu.Id, vcpu.Features.Length, document.Vcpus[i].Count, document.Vcpus[i].Sum(item => item.Value.Length)))],
            [.. machine.Memory.Select(region => new ShownRegion(region.Slot, region.Flags, Hex.Of(region.GuestAddress), region.SizeBytes))],
            [.. machine.Capabilities.Select(capability => capability.Capability)],
            machine.TssAddress is { } tss ? Hex.Of(tss) : null,
            machine.IdentityMapAddress is { } map ? Hex.Of(map) : null,
            machine.GsiRouting.Length / GsiRouteBytes);
    }
}
