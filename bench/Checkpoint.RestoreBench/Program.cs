using System.Diagnostics;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Protocol.Coordination;
using Checkpoint.Protocol.History;
using Checkpoint.RestoreBench;
using Checkpoint.Storage;

// prepare FOLDER MIB: stores a checkpoint of a guest of that size, and its memory as it is for the C program.
// restore FOLDER MIB lazy|eager [cold]: brings it back in this process; prints microseconds: machine ready, first instruction, all memory. The start-up
// of the process is over when the store and KVM are open and, unless cold, a machine of 8 MiB has been brought back once.
var (folder, mib) = (args[1], int.Parse(args[2]));
await using var engine = CheckpointEngine.Open(new StoreOptions("sqlite:" + Path.Combine(folder, "store.db")));
using var kvm = SystemHandle.Open();
if (args[0] == "prepare")
{
    await PrepareAsync(8);
    await PrepareAsync(mib);
    return;
}

var fill = args[3] == "lazy" ? MemoryFill.Lazy : MemoryFill.Eager;
if (!args.Contains("cold"))
    await RestoreAsync(8);
GC.Collect();
GC.WaitForPendingFinalizers();
var (ready, first, all) = await RestoreAsync(mib);
Console.WriteLine($"{ready:f0} {first:f0} {all:f0}");

async Task PrepareAsync(int size)
{
    using var machine = FirstInstructionGuest.Create(kvm, (ulong)size << 20);
    await using (var attached = await engine.AttachAsync($"m{size}", new MachineAttachment(machine, new FirstInstructionGuest())
    {
        Options = new CoordinatorOptions { PrepareDeadline = TimeSpan.FromMinutes(2) },
    }))
    {
        if (await attached.CheckpointAsync() is not CheckpointOutcome.Committed)
            throw new InvalidOperationException("The checkpoint was not taken.");
    }

    await using var image = File.Create(Path.Combine(folder, $"m{size}.image"));
    var piece = new byte[2 << 20];
    for (var at = 0UL; at < (ulong)size << 20; at += (ulong)piece.Length)
    {
        machine.Memory.Read(at, piece);
        image.Write(piece);
    }

    image.Flush(flushToDisk: true);
}

async Task<(double Ready, double First, double All)> RestoreAsync(int size)
{
    var begun = Stopwatch.GetTimestamp();
    using var restored = await engine.RestoreAsync(kvm, new CheckpointReference.Latest($"m{size}"), new RestoreOptions { Fill = fill });
    var ready = Stopwatch.GetTimestamp();
    var all = ready;
    var guest = new FirstInstructionGuest();
    await using var running = await engine.RunAsync(restored, new MachineAttachment(restored.Machine, guest));
    running.Start();
    var first = await guest.First;
    if (restored.Filling is { } filling)
    {
        await filling.Ended;
        all = Stopwatch.GetTimestamp();
    }

    await running.StopAsync();
    return (Us(begun, ready), Us(begun, first), Us(begun, all));
}

static double Us(long from, long to) => Stopwatch.GetElapsedTime(from, to).TotalMicroseconds;
