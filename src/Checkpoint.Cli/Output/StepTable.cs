using Checkpoint.Kvm.Guests;
using Spectre.Console;

namespace Checkpoint.Cli.Output;

/// <summary>How far each vCPU has come.</summary>
internal static class StepTable
{
    public static void Write(IAnsiConsole console, GuestVerdict before, GuestVerdict now)
    {
        var table = TableConsole.NewTable(">vCPU", ">steps at the checkpoint", ">steps now", ">steps since");
        for (var vcpu = 0; vcpu < Math.Min(before.Steps.Count, now.Steps.Count); vcpu++)
            table.AddCells($"{vcpu}", $"{before.Steps[vcpu]:N0}", $"{now.Steps[vcpu]:N0}", $"{unchecked((long)(now.Steps[vcpu] - before.Steps[vcpu])):N0}");
        console.Write(table);
    }
}
