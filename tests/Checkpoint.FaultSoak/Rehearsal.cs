using Checkpoint.Actors;
using Checkpoint.Actors.Faults;
using Checkpoint.Cli.Machines;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Faults;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.FaultSoak;

/// <summary>
/// One life of a machine under injected faults: attach, some checkpoints, detach, restore, run on. Then the faults are taken away,
/// and everything is looked at: whatever went wrong, what was acknowledged must be there and exact, nothing else may be, and
/// the machine's name must be usable again.
/// </summary>
/// <param name="bed">What the machine is made of.</param>
/// <param name="folder">A folder of its own, removed by the caller.</param>
/// <param name="seed">Of the guest and of random faults.</param>
/// <param name="options">The deadlines.</param>
internal sealed class Rehearsal(Bed bed, string folder, ulong seed, CoordinatorOptions options)
{
    private const string Vm = "a";
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(12);
    private static readonly TimeSpan s_longPatience = TimeSpan.FromMinutes(3);

    private readonly List<string> _broken = [];
    private readonly Dictionary<long, CheckpointId> _acknowledged = [];
    private bool _mayHoldMore;

    /// <summary>What is to go wrong.</summary>
    public FaultPlan Faults { get; } = new(seed);

    /// <summary>The invariants that did not hold; empty for a good rehearsal.</summary>
    public IReadOnlyList<string> Broken => _broken;

    /// <summary>How many checkpoints were acknowledged.</summary>
    public int Acknowledged => _acknowledged.Count;

    /// <summary>How many rounds ended otherwise.</summary>
    public int Failed { get; private set; }

    /// <summary>How many of the acknowledged checkpoints were restored afterwards.</summary>
    public int Restored { get; private set; }

    /// <summary>Whether a store that hung was left behind at the stop; once the faults were taken away, it went on.</summary>
    public bool IsLeftBehind { get; private set; }

    /// <summary>Whether the attach, or the restore under faults, ended with an error.</summary>
    public bool HasRefused { get; private set; }

    /// <summary>Lives the life.</summary>
    /// <param name="arm">Makes the rules; the machine is built by then.</param>
    /// <param name="checkpoints">How many rounds.</param>
    /// <param name="isOnDisk">Whether the journal is a database.</param>
    public async Task RunAsync(Action<FaultPlan> arm, int checkpoints, bool isOnDisk)
    {
        var uri = isOnDisk ? "sqlite:" + Path.Combine(folder, "store.db") : "memory:";
        await using var engine = CheckpointEngine.Open(new StoreOptions(uri, Path.Combine(folder, "segments")) { Faults = Faults }, null, options);
        using var kvm = bed.Open();
        using (var faulty = new FaultyKvm(new Borrowed(kvm), Faults))
        {
            using var guest = GuestMachine.Create(faulty, GuestKind.Ledger, bed.GuestOf(seed));
            arm(Faults);
            await LiveAsync(engine, guest, checkpoints).ConfigureAwait(false);
            await RestoreUnderFaultsAsync(engine, faulty).ConfigureAwait(false);
            Faults.Disarm();
        }

        await LookAsync(engine, kvm).ConfigureAwait(false);
    }

    private async Task LiveAsync(CheckpointEngine engine, GuestMachine guest, int checkpoints)
    {
        var exits = new ExitCount(guest, guest.Machine.Vcpus.Length);
        var device = new ParkedDevice();
        var attachment = new MachineAttachment(guest.Machine, new FaultyExitHandler(exits, Faults))
        {
            Devices = [FaultyDevice.Decorate(new GuestDevice(guest), Faults), FaultyDevice.Decorate(device, Faults)],
            Options = options,
        };
        var machine = await TryAsync("attach", () => engine.AttachAsync(Vm, attachment)).ConfigureAwait(false);
        if (machine is null)
            return;
        Faults.PhaseSource = () => machine.Phase?.ToString();
        await using (machine.ConfigureAwait(false))
        {
            machine.Start();
            for (var i = 0; i < checkpoints; i++)
            {
                if (!await TakeAsync(machine).ConfigureAwait(false))
                    break;
                await SeeThatAllRunAsync(machine, exits, device).ConfigureAwait(false);
            }

            await machine.StopAsync().ConfigureAwait(false);
        }

        Faults.PhaseSource = null;
    }

    private bool MayHang => Faults.Counts.Any(count => count.Kind == "hang");

    // A store that hangs answers nobody; whoever stops the machine then leaves it behind.
    private async Task<bool> TakeAsync(AttachedMachine machine)
    {
        var round = machine.CheckpointAsync();
        var isOver = await Task.WhenAny(round, Task.Delay(s_patience)).ConfigureAwait(false) == round;
        // Where nothing hangs it ends: on a busy machine that may take a while.
        if (!isOver && !MayHang)
            isOver = await Task.WhenAny(round, Task.Delay(s_longPatience)).ConfigureAwait(false) == round;
        if (isOver)
        {
            Note(await round.ConfigureAwait(false));
            return true;
        }

        if (!MayHang)
            _broken.Add($"a round has not ended within {(s_patience + s_longPatience).TotalSeconds} s, and nothing hangs");
        _mayHoldMore = IsLeftBehind = true;
        return false;
    }

    private void Note(CheckpointOutcome outcome)
    {
        switch (outcome)
        {
            case CheckpointOutcome.Committed committed when !_acknowledged.TryAdd(committed.Checkpoint.Number, committed.Checkpoint.Id):
                _broken.Add($"number {committed.Checkpoint.Number} was given twice");
                break;
            case CheckpointOutcome.Committed:
                break;
            case CheckpointOutcome.Refused { Obstacle: Refusal.JournalLost }:
                // Whoever is told that the last write may have happened or not may find either.
                _mayHoldMore = true;
                Failed++;
                break;
            default:
                Failed++;
                break;
        }
    }

    // Whatever became of the round, nobody who lives may stay parked.
    private async Task SeeThatAllRunAsync(AttachedMachine machine, ExitCount exits, ParkedDevice device)
    {
        var before = exits.Now();
        var begun = TimeProvider.System.GetTimestamp();
        while (!machine.ParticipantEnded.IsCompleted)
        {
            var now = exits.Now();
            // A device that does not go on when it is told to is left as it is: only the guest is the engine's.
            var isDeviceLost = Faults.Counts.Any(count => count.Call == FaultCalls.DeviceResume);
            // One that hangs in KVM_RUN does so until its next kick.
            if (MayHang)
                return;
            if (before.Zip(now).All(each => each.Second > each.First) && (!device.IsParked || isDeviceLost))
                return;
            if (TimeProvider.System.GetElapsedTime(begun) > s_longPatience)
            {
                _broken.Add($"after a round not everybody runs: exits {string.Join(", ", before)}, then {string.Join(", ", now)}; device parked: {device.IsParked}");
                return;
            }

            await Task.Delay(1).ConfigureAwait(false);
        }
    }

    private async Task RestoreUnderFaultsAsync(CheckpointEngine engine, FaultyKvm kvm)
    {
        if (_acknowledged.Count == 0)
            return;
        var last = _acknowledged.Keys.Max();
        await TryAsync("restore", async () =>
        {
            using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Numbered(Vm, last)).ConfigureAwait(false);
            // Looked at with the faults still there: what cannot be read says nothing.
            var verdict = GuestOf(restored).Verify(restored.Document.Vcpus);
            if (!verdict.Ok)
                _broken.Add($"checkpoint {last}, restored under faults, is not exact: {verdict.Failures[0]}");
            return verdict;
        }).ConfigureAwait(false);
    }

    private async Task LookAsync(CheckpointEngine engine, IKvm kvm)
    {
        if (IsLeftBehind)
            await UntilLockIsBackAsync(engine).ConfigureAwait(false);
        var live = (await engine.Store.RecoverAsync(Vm).ConfigureAwait(false)).Live;
        foreach (var (number, id) in _acknowledged)
        {
            if (!live.TryGetValue(number, out var found) || found.Id != id)
                _broken.Add($"checkpoint {number} was acknowledged and is not there");
            else
                await RestoreAsync(engine, kvm, number).ConfigureAwait(false);
        }

        foreach (var number in live.Keys.Where(number => !_acknowledged.ContainsKey(number)))
        {
            if (!_mayHoldMore)
                _broken.Add($"checkpoint {number} is there and was not acknowledged");
        }

        await AttachAgainAsync(engine, kvm).ConfigureAwait(false);
        var report = await engine.Store.VerifyAsync().ConfigureAwait(false);
        _broken.AddRange(report.Damages.Select(damage => $"damaged: {damage}"));
        var named = (await engine.Store.RecoverAsync(Vm).ConfigureAwait(false)).Live.Values.Select(each => each.Segment?.Name);
        var stored = engine.Store.Segments.List(Vm);
        if (!stored.SequenceEqual(named))
            _broken.Add($"segments that no checkpoint names are left after a sweep: {string.Join(", ", stored.Except(named))}");
    }

    // What hung goes on now, and may still write; when it has ended, the lock is given back.
    private async Task UntilLockIsBackAsync(CheckpointEngine engine)
    {
        var begun = TimeProvider.System.GetTimestamp();
        while (TimeProvider.System.GetElapsedTime(begun) < s_longPatience)
        {
            try
            {
                engine.Store.Lock(Vm).Dispose();
                return;
            }
            catch (StoreException held) when (held.Failure == StoreFailure.Held)
            {
                await Task.Delay(1).ConfigureAwait(false);
            }
        }

        _broken.Add("what hung goes on, and the machine's lock is not given back");
    }

    private async Task RestoreAsync(CheckpointEngine engine, IKvm kvm, long number)
    {
        try
        {
            using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Numbered(Vm, number)).ConfigureAwait(false);
            if (GuestOf(restored).Verify(restored.Document.Vcpus) is { Ok: false } verdict)
                _broken.Add($"acknowledged checkpoint {number} is not exact: {verdict.Failures[0]}");
            Restored++;
        }
        catch (Exception failure)
        {
            _broken.Add($"acknowledged checkpoint {number} cannot be restored: {failure.GetType().Name}: {failure.Message}");
        }
    }

    // The lock was given back, what was left is swept, and the next checkpoint has a number of its own.
    private async Task AttachAgainAsync(CheckpointEngine engine, IKvm kvm)
    {
        using var guest = GuestMachine.Create(kvm, GuestKind.Ledger, bed.GuestOf(seed + 1));
        var attachment = new MachineAttachment(guest.Machine, guest) { Devices = [new GuestDevice(guest)] };
        try
        {
            await using var machine = await engine.AttachAsync(Vm, attachment).ConfigureAwait(false);
            machine.Start();
            var outcome = await machine.CheckpointAsync().ConfigureAwait(false);
            if (outcome is not CheckpointOutcome.Committed committed)
                _broken.Add($"without faults the next checkpoint ended {outcome}");
            else if (_acknowledged.ContainsKey(committed.Checkpoint.Number))
                _broken.Add($"number {committed.Checkpoint.Number} was given again");
        }
        catch (Exception failure)
        {
            _broken.Add($"without faults the machine cannot be attached again: {failure.GetType().Name}: {failure.Message}");
        }
    }

    private async Task<T?> TryAsync<T>(string what, Func<Task<T>> attempt)
        where T : class
    {
        try
        {
            return await attempt().ConfigureAwait(false);
        }
        catch (Exception expected) when (expected is StoreException or KvmException or IntegrityException or GuestMemoryException or RestoreRefusedException or TimeoutException)
        {
            HasRefused = true;
            return null;
        }
        catch (Exception failure)
        {
            _broken.Add($"{what} ended with a defect: {failure.GetType().Name}: {failure.Message}");
            return null;
        }
    }

    private static GuestMachine GuestOf(RestoredMachine restored) =>
        GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
}
