using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

namespace Checkpoint.MemoryLedger;

/// <summary>
/// One machine under checkpoints in a store of its own: phase after phase, each but the first going on from one of its
/// checkpoints, and restores of others while it runs.
/// </summary>
internal sealed class Life : IAsyncDisposable
{
    private const string Vm = "ledger";
    private const int Keep = 10;
    private const int MaxChain = 6;
    private const int CheckpointsOfAPhase = 30;
    private const int OnePinnedIn = 15;
    private const int MostPinned = 2;

    private readonly LifePlan _plan;
    private readonly Arguments _arguments;
    private readonly Tally _tally;
    private readonly IKvm _kvm;
    private readonly Random _random;
    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("memory-ledger-");
    private readonly CheckpointEngine _engine;
    private readonly RestoreCheck _check;
    private readonly Dictionary<long, byte[]> _references = [];
    private readonly List<long> _live = [];
    private readonly Queue<long> _pinned = new();

    public Life(LifePlan plan, Arguments arguments, Tally tally, IKvm kvm)
    {
        _plan = plan;
        _arguments = arguments;
        _tally = tally;
        _kvm = kvm;
        _random = new Random(plan.Seed);
        _engine = CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(_folder.FullName, "store.db")));
        _check = new RestoreCheck(_engine, kvm);
    }

    private static CoordinatorOptions Patient { get; } = new()
    {
        // Only a hang reaches them, however loaded the host is.
        PrepareDeadline = TimeSpan.FromSeconds(120),
        ParkDeadline = TimeSpan.FromSeconds(60),
        CaptureDeadline = TimeSpan.FromSeconds(60),
        ResumeDeadline = TimeSpan.FromSeconds(60),
        Keep = Keep,
        MaxChain = MaxChain,
    };

    /// <summary>Lives until it has so many checkpoints and restores, or is told to end.</summary>
    /// <exception cref="DifferenceException">Something is not as it was.</exception>
    public async Task RunAsync(int checkpoints, int restores, CancellationToken ending)
    {
        _tally.Begun();
        var done = 0;
        while (done < checkpoints && !ending.IsCancellationRequested)
        {
            using var restored = done == 0 ? null : await _engine.RestoreAsync(_kvm, Reference(await PickAsync().ConfigureAwait(false)), cancellationToken: CancellationToken.None).ConfigureAwait(false);
            using var created = restored is null ? GuestMachine.Create(_kvm, GuestKind.Ledger, _plan.Guest) : null;
            var guest = created ?? GuestMachine.Restore(restored!.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span);
            if (restored is null)
                FillMemory(guest);
            else
                _check.Compare(restored, _references[restored.Checkpoint.Number], "to go on from it");
            var until = Math.Min(checkpoints, done + CheckpointsOfAPhase);
            await RunPhaseAsync(guest, restored, done, until, number => number * restores / checkpoints, ending).ConfigureAwait(false);
            if (restored is not null)
                _tally.Continued();
            done = until;
        }

        var report = await _engine.Store.VerifyAsync(cancellationToken: CancellationToken.None).ConfigureAwait(false);
        if (report.Damages.Count > 0)
            throw new DifferenceException($"the store is damaged: {report.Damages[0]}");
    }

    public async ValueTask DisposeAsync()
    {
        await _engine.DisposeAsync().ConfigureAwait(false);
        _folder.Delete(recursive: true);
    }

    private static CheckpointReference.Numbered Reference(long number) => new(Vm, number);

    private async Task RunPhaseAsync(GuestMachine guest, RestoredMachine? restored, int from, int until, Func<int, int> restoresAfter, CancellationToken ending)
    {
        var reference = new ReferenceMemory(guest.Machine.Memory);
        using var writer = new HostWriter(guest.Machine.Memory, guest.Program.UsedMemoryBytes, _random.Next(), _arguments.ForgetWrites);
        await using var machine = await _engine.AttachAsync(
            Vm,
            new MachineAttachment(guest.Machine, guest)
            {
                Devices = [new GuestDevice(guest), writer, reference],
                Options = Patient with { Mode = _plan.Mode, Compress = _plan.Compress },
                RestoredFrom = restored,
            },
            CancellationToken.None).ConfigureAwait(false);
        machine.Start();
        var restore = Task.CompletedTask;
        for (var done = from; done < until && !ending.IsCancellationRequested; done++)
        {
            await Task.Delay(_random.Next(4), CancellationToken.None).ConfigureAwait(false);
            await CheckpointAsync(machine, reference).ConfigureAwait(false);
            if (_random.Next(OnePinnedIn) == 0)
                await PinAsync(machine).ConfigureAwait(false);
            for (var due = restoresAfter(done + 1) - restoresAfter(done); due > 0; due--)
            {
                // The one before has had the time of several checkpoints; they are not to pile up.
                await restore.ConfigureAwait(false);
                var (number, runsFirst) = (_live[_random.Next(_live.Count)], _random.Next(2) == 0);
                restore = Task.Run(() => RestoreAsync(number, runsFirst), CancellationToken.None);
            }
        }

        await restore.ConfigureAwait(false);
        await machine.StopAsync().ConfigureAwait(false);
        var verdict = guest.Verify();
        if (!verdict.Ok)
            throw new DifferenceException($"the guest is not consistent after {until} checkpoints: {verdict.Failures[0]}");
    }

    private async Task CheckpointAsync(AttachedMachine machine, ReferenceMemory reference)
    {
        var outcome = await machine.CheckpointAsync().ConfigureAwait(false);
        if (outcome is not CheckpointOutcome.Committed { Checkpoint: var committed, Pruned: var pruned })
            throw new DifferenceException($"no checkpoint could be taken: {outcome}");
        var digests = reference.Take();
        lock (_references)
            _references[committed.Number] = digests;
        _live.Add(committed.Number);
        _live.RemoveAll(number => pruned.Contains(number));
        _tally.Committed(_plan, committed, pruned.Length);
    }

    private async Task RestoreAsync(long number, bool runsFirst)
    {
        byte[] digests;
        lock (_references)
            digests = _references[number];
        if (await _check.RestoreAsync(Reference(number), digests, runsFirst).ConfigureAwait(false))
            _tally.Restored(_plan);
        else
            await RestoreAsync(await PickAsync().ConfigureAwait(false), runsFirst).ConfigureAwait(false);
    }

    /// <summary>A checkpoint that exists now, by what is stored.</summary>
    private async Task<long> PickAsync()
    {
        var live = (await _engine.Store.RecoverAsync(Vm).ConfigureAwait(false)).Live;
        lock (_references)
        {
            long[] known = [.. live.Keys.Where(_references.ContainsKey)];
            return known[Random.Shared.Next(known.Length)];
        }
    }

    private async Task PinAsync(AttachedMachine machine)
    {
        var number = _live[_random.Next(_live.Count)];
        if (await machine.PinAsync(number).ConfigureAwait(false) is not null)
            return; // Pinned already.
        _tally.Pinned();
        _pinned.Enqueue(number);
        if (_pinned.Count > MostPinned)
            await machine.UnpinAsync(_pinned.Dequeue()).ConfigureAwait(false);
    }

    // Around the slots, and behind what the guest uses. A slot has the first bytes of its page.
    private void FillMemory(GuestMachine guest)
    {
        const ulong Page = 4096;
        const int SlotBytes = 64;
        var memory = guest.Machine.Memory;
        var bytes = new byte[Page];
        var firstSlot = guest.Program.UsedMemoryBytes - ((ulong)_plan.Guest.WorkingPages! * Page);
        for (var address = firstSlot; address < _plan.Guest.MemoryBytes; address += Page)
        {
            PageFiller.Fill(_random, bytes);
            memory.Write(address + SlotBytes, bytes.AsSpan(SlotBytes));
        }
    }
}
