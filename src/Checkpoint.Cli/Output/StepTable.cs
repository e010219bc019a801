using Checkpoint.Kvm.Guests;

namespace Checkpoint.Cli.Output;

/// <summary>How far each vCPU has come.</summary>
internal static class StepTable
{
    public static TextTable Of(GuestVerdict before, GuestVerdict now)
    {
        string[] steps = [">vCPU", ">steps at the checkpoint", ">steps now", ">steps since"];
        string[] ticks = now.Ticks.Count == 0 ? [] : [">ticks at the checkpoint", ">ticks now"];
        var table = new TextTable([.. steps, .. ticks]);
        for (var vcpu = 0; vcpu < Math.Min(before.Steps.Count, now.Steps.Count); vcpu++)
        {
            string[] stepped = [$"{vcpu}", $"{before.Steps[vcpu]:N0}", $"{now.Steps[vcpu]:N0}", $"{unchecked((long)(now.Steps[vcpu] - before.Steps[vcpu])):N0}"];
            string[] ticked = now.Ticks.Count == 0 ? [] : [$"{before.Ticks[vcpu]:N0}", $"{now.Ticks[vcpu]:N0}"];
            table.Add([.. stepped, .. ticked]);
        }

        return table;
    }
}
