namespace Checkpoint.Bench;

/// <summary>One line for each size and rate.</summary>
internal static class ResultTable
{
    public const string Header =
        "  MiB vCPUs  pages/s  written/s  changed | engine pause      floor pause      ratio  C pre-copy       | park capture memory  left p50/max (C)   rounds  gap p50 (C)     slower (C) ± base      bytes/changed  file/changed  alloc/ckpt GCs  way";

    public const string Legend = """
        floor: kick, registers, wake. C pre-copy: the floor with memory by pre-copy. ratio: p50 of the engine's pause to p50 of the floor.
        written/s: what the guest wrote under checkpoints. changed: the part of its pages that had changed from one to the next. memory: what it took of the capture. left: pages left for the pause. gap: the longest gap in the guest's own time, from
        before the checkpoint's rounds to after its resume; (C): around the floor. slower: what the guest's loop lost over all of the time, checkpoints every interval,
        against its speed with no log and no checkpoints; (C): C pre-copy; base: by how much that speed itself differed between before and after. bytes/changed: memory
        bytes of increments to bytes of pages that had changed, each counted once. alloc: bytes the process allocated. over: pauses longer than --max-pause-ms.
        """;

    public static string Row(int memory, int vcpus, double rate, PauseRun run) =>
        $"{memory,5} {vcpus,5} {rate,8:f0} {run.WrittenPerSecond,10:f0}  {100 * run.Bytes.Changed / run.Pause.Count / ((double)memory * (1 << 20)),5:f1} % | {run.Pause.Percentiles(),-17} {run.Floor.Percentiles(),-16} {run.Pause.At(50) / run.Floor.At(50),5:f2}  {run.PrecopyFloor.Percentiles(),-16} |"
        + $" {run.Park.At(50),4:f0} {run.Capture.At(50),7:f0} {run.Memory.At(50),6:f0}  {run.Left.At(50),6:f0}/{run.Left.Max} ({run.PrecopyFloorLeft.At(50):f0}/{run.PrecopyFloorLeft.Max})  {run.Rounds.Mean,6:f1}  {run.Gap.At(50),7:f0} ({run.FloorGap.At(50):f0})"
        + $"  {Slower(run.Speed.Engine, run)} ({Slower(run.Speed.PlainC, run)}) ± {run.Undisturbed.DriftPercent:f1}  {run.Bytes.Memory / run.Bytes.Changed,8:f3}  {run.Bytes.Segments / run.Bytes.Changed,12:f3}"
        + $"  {run.AllocatedBytes,9:f0} {run.Collections,4}  {Ways(run)}";

    private static string Ways(PauseRun run) =>
        string.Join(" ", run.Ways.Select(way => $"{way.Key}:{way.Value}" + (run.Over.TryGetValue(way.Key, out var over) ? $"({over} over)" : "")))
        + (run.FloorOver > 0 ? $" floor:({run.FloorOver} over)" : "");

    private static string Slower(double speed, PauseRun run) => $"{100 * (1 - (speed / run.Undisturbed.PerSecond)):f1} %";
}
