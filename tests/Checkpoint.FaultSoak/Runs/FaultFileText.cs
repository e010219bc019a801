using System.Text.Json.Nodes;
using Checkpoint.Protocol.Faults;

namespace Checkpoint.FaultSoak.Runs;

/// <summary>A plan's rules as a file for <c>run --faults</c>.</summary>
internal static class FaultFileText
{
    public static string Of(FaultPlan plan)
    {
        // The program's own devices are never parked: the command refuses a fault at that alone.
        var rules = plan.Rules.Where(rule => !rule.Calls.All(call => call is FaultCalls.DevicePark or FaultCalls.DeviceResume));
        var faults = new JsonArray([.. rules.Select(LineOf)]);
        return new JsonObject { ["seed"] = plan.Seed, ["faults"] = faults }.ToJsonString();
    }

    private static JsonObject LineOf(FaultRule rule)
    {
        var when = rule.When;
        var line = new JsonObject { ["call"] = when.Call };
        if (when.Vcpu is { } vcpu)
            line["vcpu"] = vcpu;
        if (when is { First: { } at, Times: 1 })
            line["at"] = at;
        else if (when.First is { } from)
            line["from"] = from;
        if (when is { First: not null, Times: > 1 })
            line["times"] = when.Times;
        if (when.Probability < 1)
            line["probability"] = when.Probability;
        if (when.Phase is { } phase)
            line["phase"] = phase;
        switch (rule.Action)
        {
            case FaultAction.Fail fail:
                line["fail"] = ErrorNumbers.NameOf(fail.Errno);
                if (fail.AfterRegisters is { } registers)
                    line["after-registers"] = registers;
                break;
            case FaultAction.Delay delay:
                line["delay"] = $"{(long)delay.Duration.TotalMilliseconds}ms";
                break;
            case FaultAction.Exit exit:
                line["exit"] = exit.Kind;
                break;
            case FaultAction.LoseMachine lost:
                line["lose-machine"] = ErrorNumbers.NameOf(lost.Errno);
                break;
            case FaultAction.Refuse:
                line["end"] = "refused";
                break;
            case FaultAction.Unknown unknown:
                line["end"] = unknown.Written switch { null => "unknown", true => "lost-after-commit", false => "lost-before-commit" };
                break;
            default:
                line[rule.Action.Kind] = true; // hang, die
                break;
        }

        return line;
    }
}
