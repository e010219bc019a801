using Checkpoint.Kvm.Guests;

namespace Checkpoint.Cli.Output;

/// <summary>How far each vCPU has come.</summary>
internal static class StepTable
{
    public static TextTable Of(GuestVerdict before, GuestVerdict now)
    {
        var table = new TextTable(">vCPU", ">steps at the checkpoint", ">steps now", ">steps since");
        for (var vcpu = 0; vcpu < Math.Min(before.Steps.Count, now.Steps.Count); vcpu++)
            table.Add($"{vcpu}", $"{before.Steps[vcpu]:N0}", $"{now.Steps[vcpu]:N0}", $"{unchecked((long)(now.Steps[vcpu] - before.Steps[vcpu])):N0}");
        return table;
    }
}
