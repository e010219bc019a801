using System.Globalization;
using Checkpoint.Cli.Output;
using Checkpoint.Cli.Parsing;

namespace Checkpoint.Cli.Commands;

/// <summary>Shows a checkpoint, for a person or for a program.</summary>
internal sealed class ShowReport(Invocation invocation)
{
    // A longer one is a whole structure, of which a line shows the beginning; --json has all of it.
    private const int LongestShown = 2 * 66;
    private const int DigitsShown = 64;

    public void Checkpoint(ShowLine line)
    {
        if (invocation.IsJson)
        {
            invocation.WriteJson(line, LineContext.Default.ShowLine);
            return;
        }

        var table = TextTable.OfValues();
        table.Add("checkpoint", $"{line.Vm}@{line.Checkpoint}{(line.Pinned ? ", pinned" : "")}");
        table.Add("id", line.Id);
        table.Add("taken", $"{line.At.UtcDateTime.ToString("yyyy-MM-dd HH:mm:ss.fff", CultureInfo.InvariantCulture)} UTC, {Duration.Format(TimeSpan.FromMilliseconds(line.AgeMs))} ago, by {line.Trigger}");
        table.Add("mode", line.Parent is { } parent ? $"{line.Mode}, after {line.Vm}@{parent}" : line.Mode);
        if (line.Label is not null)
            table.Add("label", line.Label);
        table.Add(
            "pause",
            $"{Duration.FormatUs(line.PauseUs)}: park {Duration.FormatUs(line.ParkUs)}, capture {Duration.FormatUs(line.CaptureUs)}; stored {Duration.FormatUs(line.StoreUs)} later; registers by {line.Batching}");
        if (line.GuestClockNs is { } clock)
            table.Add("guest clock", $"{clock.ToString("N0", CultureInfo.InvariantCulture)} ns");
        table.Add("state", $"{ByteSize.Format(line.StateBytes)}, sha256 {line.StateSha256}");
        table.Add(
            "memory",
            line.Segment is null ? "none" : $"{ByteSize.Format(line.MemoryBytes)} in {ByteSize.Format(line.SegmentBytes)}{(line.SegmentCompressed == true ? " compressed" : "")}, {line.DirtyPages} pages, segment {line.Segment}, index sha256 {line.SegmentIndexSha256}");
        var machine = line.Machine;
        table.Add("machine", $"{machine.Arch}{(machine.Simulated ? " (simulated)" : "")}, {machine.Vcpus.Count} vCPUs, interrupt chips {machine.InterruptChip}, capabilities {(machine.Capabilities.Count == 0 ? "none" : string.Join(' ', machine.Capabilities))}");
        foreach (var region in machine.Memory)
            table.Add("  slot", $"{region.Slot}: {ByteSize.Format((long)region.Bytes)} at {region.Address}, flags 0x{region.Flags:x}");
        foreach (var vcpu in machine.Vcpus)
            table.Add("  vCPU", $"{vcpu.Vcpu}: id {vcpu.Id}, {vcpu.StateItems} state items, {ByteSize.Format(vcpu.StateBytes)}");
        foreach (var device in line.Devices)
            table.Add("device", $"{device.Name}, {device.Bytes} bytes");
        invocation.WriteTable(table);
        if (line.Guest is not null)
            Guest(line.Guest);
    }

    public void Registers(RegistersLine line)
    {
        if (invocation.IsJson)
        {
            invocation.WriteJson(line, LineContext.Default.RegistersLine);
            return;
        }

        invocation.WriteText("");
        invocation.WriteText(line.Vcpu is { } vcpu ? $"vCPU {vcpu}" : "VM");
        var table = TextTable.OfValues();
        foreach (var (name, value) in line.Registers)
            table.Add("  " + name, value.Length > LongestShown ? $"{value[..DigitsShown]}… ({value.Length / 2} bytes)" : value);
        invocation.WriteTable(table);
    }

    private void Guest(ShownGuest guest)
    {
        invocation.WriteText("");
        invocation.WriteText(
            $"Guest {guest.Kind}, loop {guest.LoopStart} to {guest.LoopEnd}: registers, memory and device are {(guest.Verified ? "of one moment" : "NOT of one moment")}.");
        foreach (var failure in guest.Failures)
            invocation.WriteText("  " + failure);
        invocation.WriteTable(guest.Vcpus.Any(at => at.NMemory is not null) ? StepsOfCounter(guest) : Steps(guest));
    }

    private static bool IsX64(ShownGuest guest) => guest.Vcpus.All(at => at.Rip is not null);

    private static string PcOf(ShownGuest guest) => IsX64(guest) ? "rip" : "pc";

    private static TextTable Steps(ShownGuest guest)
    {
        var table = new TextTable(">vCPU", PcOf(guest), "in loop", ">steps");
        foreach (var at in guest.Vcpus)
            table.Add($"{at.Vcpu}", at.Pc, at.InLoop ? "yes" : "no", $"{guest.Steps[at.Vcpu]}");
        return table;
    }

    private static TextTable StepsOfCounter(ShownGuest guest)
    {
        var table = new TextTable(
            ">vCPU", PcOf(guest), "in loop", ">steps", IsX64(guest) ? ">n in rbp" : ">n in x3", ">n in memory", IsX64(guest) ? "x in rbx" : "x in x0", "x in memory");
        foreach (var at in guest.Vcpus)
        {
            table.Add(
                $"{at.Vcpu}", at.Pc, at.InLoop ? "yes" : "no", $"{guest.Steps[at.Vcpu]}", $"{at.NRegister}", $"{at.NMemory}", at.XRegister ?? "-", at.XMemory ?? "-");
        }

        return table;
    }
}
