using System.Globalization;
using Checkpoint.Cli.Output;

namespace Checkpoint.Cli.Commands;

/// <summary>Tells in what two checkpoints differ, for a person or for a program.</summary>
internal sealed class DiffReport(Invocation invocation)
{
    // A longer value is a whole structure, of which a table shows the beginning; --json has all of it.
    private const int LongestShown = 34;

    private readonly TextTable _pages = new("guest address", ">pages");
    private long _registers;
    private long _devices;

    public void Registers(IReadOnlyList<DifferentRegisterLine> lines, string left, string right)
    {
        _registers = lines.Count;
        if (invocation.IsJson)
        {
            foreach (var line in lines)
                invocation.WriteJson(line, LineContext.Default.DifferentRegisterLine);
            return;
        }

        if (lines.Count == 0)
            return;
        var table = new TextTable("of", "register", left, right);
        foreach (var line in lines)
            table.Add(line.Vcpu is { } vcpu ? $"vCPU {vcpu}" : "VM", line.Name, Short(line.Left), Short(line.Right));
        invocation.WriteTable(table);
        invocation.WriteText("");
    }

    public void Devices(IReadOnlyList<DifferentDeviceLine> lines)
    {
        _devices = lines.Count;
        foreach (var line in lines)
        {
            if (invocation.IsJson)
                invocation.WriteJson(line, LineContext.Default.DifferentDeviceLine);
            else
                invocation.WriteText($"The state of the device '{line.Name}' differs: {Bytes(line.LeftBytes)} and {Bytes(line.RightBytes)}.");
        }

        if (lines.Count > 0 && !invocation.IsJson)
            invocation.WriteText("");
    }

    /// <summary>A range of pages was found.</summary>
    public void Pages(ulong guestAddress, long pages)
    {
        if (invocation.IsJson)
            invocation.WriteJson(new DifferentPagesLine(Hex.Of(guestAddress), pages), LineContext.Default.DifferentPagesLine);
        else
            _pages.Add(Hex.Of(guestAddress), pages.ToString(CultureInfo.InvariantCulture));
    }

    public void End(string left, string right, long pages)
    {
        if (invocation.IsJson)
        {
            invocation.WriteJson(new DiffLine(left, right, _registers, _devices, pages), LineContext.Default.DiffLine);
            return;
        }

        if (pages > 0)
        {
            invocation.WriteTable(_pages);
            invocation.WriteText("");
        }

        invocation.WriteText(_registers + _devices + pages == 0
            ? $"{left} and {right} are the same in registers, devices and memory."
            : $"{left} and {right} differ in {Count(_registers, "register")}, {Count(_devices, "device")} and {Count(pages, "page")} of memory.");
    }

    private static string Count(long number, string what) => number == 1 ? $"1 {what}" : $"{number} {what}s";

    private static string Bytes(int? length) => length is { } bytes ? $"{bytes} bytes" : "none";

    private static string Short(string? value) => value switch
    {
        null => "-",
        { Length: > LongestShown } => value[..(LongestShown - 1)] + "…",
        _ => value,
    };
}
