using System.Diagnostics;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Bench;

/// <summary>What is measured at one size and rate.</summary>
/// <param name="MemoryMiB">Guest memory.</param>
/// <param name="Vcpus">vCPUs.</param>
/// <param name="PagesPerSecond">What the guest is told to write.</param>
internal sealed record Load(int MemoryMiB, int Vcpus, double PagesPerSecond);

/// <summary>
/// Checkpoints of the engine and pauses of the C program by turns, each with its own guest of the same shape and load; the other
/// guest is held meanwhile, so that each has the machine for itself.
/// </summary>
internal sealed class PauseRun(BenchOptions options, Load load)
{
    public Distribution Pause { get; } = new();

    public Distribution Park { get; } = new();

    public Distribution Capture { get; } = new();

    /// <summary>What the memory took of the pause.</summary>
    public Distribution Memory { get; } = new();

    public Distribution Floor { get; } = new();

    public Distribution PrecopyFloor { get; } = new();

    public Distribution PrecopyFloorLeft { get; } = new();

    public Distribution Rounds { get; } = new();

    public Distribution Left { get; } = new();

    public Distribution Gap { get; } = new();

    public Distribution FloorGap { get; } = new();

    public SortedDictionary<string, int> Ways { get; } = [];

    /// <summary>How many of the engine's pauses taken that way were over the bound.</summary>
    public SortedDictionary<string, int> Over { get; } = [];

    /// <summary>How many of the floor's pauses, which take no memory at all, were over the engine's bound.</summary>
    public int FloorOver { get; private set; }

    /// <summary>The guest's loop without any checkpoints.</summary>
    public LoopSpeed Undisturbed { get; } = new();

    /// <summary>Rounds of the guest's loop a second over all of the time with checkpoints.</summary>
    public (double Engine, double PlainC) Speed { get; private set; }

    public double WrittenPerSecond { get; private set; }

    /// <summary>Bytes of memory in increments, of their segment files, and of the pages that had changed between them.</summary>
    public (double Memory, double Segments, double Changed) Bytes { get; private set; }

    /// <summary>Bytes that the engine's process allocated per checkpoint, all threads, whole round.</summary>
    public double AllocatedBytes { get; private set; }

    public int Collections { get; private set; }

    public async Task RunAsync()
    {
        var memoryBytes = (ulong)load.MemoryMiB << 20;
        var pages = (long)(memoryBytes / MemoryRegion.PageBytes);
        using var kvm = SystemHandle.Open();
        using var guest = new WriterGuest(kvm, memoryBytes, load.Vcpus, await File.ReadAllBytesAsync(options.Guest));
        guest.Fill();
        var folder = Path.Combine(options.Store, $"{load.MemoryMiB}-{load.Vcpus}-{load.PagesPerSecond:f0}-{Environment.ProcessId}");
        Directory.CreateDirectory(folder);
        try
        {
            await using var engine = CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(folder, "bench.db")));
            var changed = new ChangedPages(guest, load.Vcpus);
            await using var attached = await engine.AttachAsync(
                "bench", new MachineAttachment(guest.Machine, guest) { Options = Coordination(), Devices = [changed] });
            attached.Start();
            guest.WaitUntilHeld();
            await WarmUpAsync(attached, guest);

            // Only now: as long as the first checkpoint's copy was there, the other guest was not.
            using var floor = new FloorProcess(options.Floor, options.Guest, memoryBytes, load.Vcpus, guest.Tsc);
            floor.Fill();
            await Undisturbed.MeasureAsync(floor, load.PagesPerSecond, pages);
            floor.BeginLog();
            WarmUp(floor);
            await MeasureAsync(attached, guest, changed, floor, Path.Combine(folder, "bench.db.d", "bench"));
            floor.EndLog();
            await Undisturbed.MeasureAsync(floor, load.PagesPerSecond, pages);
            guest.Go();
            await attached.StopAsync();
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    private CoordinatorOptions Coordination() => new()
    {
        Mode = CheckpointMode.Incremental,
        MaxChain = int.MaxValue,
        MaxPause = options.MaxPauseMs is { } ms ? TimeSpan.FromMilliseconds(ms) : null,
    };

    // The first is full, and settles what is made at the first use.
    private async Task WarmUpAsync(AttachedMachine attached, WriterGuest guest)
    {
        guest.WritePages(load.PagesPerSecond);
        guest.Go();
        for (var i = 0; i < 5; i++)
        {
            await Task.Delay(options.Every);
            Expect(await attached.CheckpointAsync());
        }

        guest.Hold();
        guest.Progress();
    }

    private static void WarmUp(FloorProcess floor)
    {
        floor.Go();
        for (var i = 0; i < 3; i++)
            floor.Precopy();
        floor.Hold();
        floor.Progress();
    }

    // Nobody restores them, and at a high rate they would fill the disk.
    private static void DeleteSegments(string folder)
    {
        foreach (var segment in Directory.EnumerateFiles(folder, "*.seg"))
            File.Delete(segment);
    }

    private async Task MeasureAsync(AttachedMachine attached, WriterGuest guest, ChangedPages changed, FloorProcess floor, string segmentsFolder)
    {
        var (engineTime, plainTime) = (new Stopwatch(), new Stopwatch());
        var (engineDone, plainDone) = (new GuestProgress(), new GuestProgress());
        var (memory, segments, pages) = (0.0, 0.0, 0.0);
        var (allocated, collections) = (GC.GetTotalAllocatedBytes(), GC.CollectionCount(0));
        for (var i = 0; i < options.Checkpoints; i++)
        {
            guest.Go();
            engineTime.Start();
            await Task.Delay(options.Every);
            var outcome = await attached.CheckpointAsync();
            engineTime.Stop();
            guest.Hold();
            engineDone = Add(engineDone, Noted(guest.Progress(), Gap));
            // What was refused because of the bound goes into the next one; anything else that is no checkpoint ends the run.
            if (outcome is CheckpointOutcome.Aborted { Abort.Reason: var reason } && options.MaxPauseMs is not null && reason.Contains("writes too fast", StringComparison.Ordinal))
            {
                pages += changed.Changed;
                Ways["refused"] = Ways.GetValueOrDefault("refused") + 1;
                continue;
            }

            var committed = Expect(outcome);
            memory += committed.MemoryBytes;
            segments += committed.Segment?.SizeBytes ?? 0;
            pages += changed.Changed;
            DeleteSegments(segmentsFolder);
            Note(committed);
            if (Environment.GetEnvironmentVariable("BENCH_TRACE") is not null)
                Console.Error.WriteLine($"{i} {committed.Mode} pause {committed.Timings.PauseUs} park {committed.Timings.ParkUs} capture {committed.Timings.CaptureUs} store {committed.Timings.StoreUs} pages {committed.DirtyPages} taking {committed.Taking} changed {changed.Changed} writes {engineDone.Writes} ms {engineTime.ElapsedMilliseconds}");

            floor.Go();
            await Task.Delay(options.Every);
            floor.Progress();
            NoteFloor(floor.Floor());
            Noted(floor.Progress(), FloorGap);
            plainTime.Start();
            await Task.Delay(options.Every);
            var precopy = floor.Precopy();
            plainTime.Stop();
            plainDone = Add(plainDone, floor.Progress());
            floor.Hold();
            floor.Progress();
            PrecopyFloor.Add(precopy.PauseUs);
            PrecopyFloorLeft.Add(precopy.Left);
        }

        AllocatedBytes = (GC.GetTotalAllocatedBytes() - allocated) / (double)options.Checkpoints;
        Collections = GC.CollectionCount(0) - collections;
        Speed = (engineDone.Rounds / engineTime.Elapsed.TotalSeconds, plainDone.Rounds / plainTime.Elapsed.TotalSeconds);
        WrittenPerSecond = engineDone.Writes / engineTime.Elapsed.TotalSeconds;
        Bytes = (memory, segments, pages * MemoryRegion.PageBytes);
    }

    private void NoteFloor(double pauseUs)
    {
        Floor.Add(pauseUs);
        FloorOver += pauseUs / 1000 > options.MaxPauseMs ? 1 : 0;
    }

    private void Note(MachineEvent.CheckpointCommitted committed)
    {
        Pause.Add(committed.Timings.PauseUs);
        Park.Add(committed.Timings.ParkUs);
        Capture.Add(committed.Timings.CaptureUs);
        if (committed.Taking is not { } taking)
            return;
        Rounds.Add(taking.Rounds);
        Left.Add(taking.PagesLeft);
        Memory.Add(taking.CaptureUs);
        var way = taking.Way.ToString().ToLowerInvariant();
        Ways[way] = Ways.GetValueOrDefault(way) + 1;
        if (committed.Timings.PauseUs / 1000.0 > options.MaxPauseMs)
            Over[way] = Over.GetValueOrDefault(way) + 1;
    }

    private static GuestProgress Add(GuestProgress sum, GuestProgress more) => new(sum.Rounds + more.Rounds, sum.Writes + more.Writes, 0);

    private static GuestProgress Noted(GuestProgress progress, Distribution gaps)
    {
        gaps.Add(progress.LongestGapUs);
        return progress;
    }

    private static MachineEvent.CheckpointCommitted Expect(CheckpointOutcome outcome) => outcome switch
    {
        CheckpointOutcome.Committed committed => committed.Checkpoint,
        CheckpointOutcome.Aborted aborted => throw new InvalidOperationException($"A checkpoint was aborted: {aborted.Abort.Reason}"),
        CheckpointOutcome.Refused refused => throw new InvalidOperationException($"A checkpoint was refused: {refused.Obstacle.Describe()}"),
        _ => throw new InvalidOperationException("A checkpoint ended otherwise."),
    };
}
