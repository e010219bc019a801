using System.Globalization;
using System.Text.Json;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Protocol.Faults;

/// <summary>One fault of a file: its properties with their places, and the rule that they make.</summary>
internal sealed class FaultLine(long offset)
{
    private const string Actions = "fail, delay, hang, die, exit, lose-machine or end";

    private static readonly string[] s_actions = ["fail", "delay", "hang", "die", "exit", "lose-machine", "end"];
    private static readonly string[] s_numbers = ["vcpu", "at", "from", "times", "after-registers"];
    private static readonly string[] s_texts = ["call", "phase", "fail", "delay", "exit", "lose-machine", "end"];

    private readonly Dictionary<string, (long Offset, string Text, double Number)> _values = new(StringComparer.Ordinal);

    /// <summary>Takes one property.</summary>
    public void Set(string name, long at, ref Utf8JsonReader reader, FaultFile.Places places)
    {
        var value = reader.TokenStartIndex;
        var (text, number) = (string.Empty, 0.0);
        if (s_texts.Contains(name))
        {
            text = reader.TokenType == JsonTokenType.String ? places.Text(reader) : throw places.Wrong(value, $"'{name}' is a text; write it in quotation marks");
        }
        else if (s_numbers.Contains(name))
        {
            if (reader.TokenType != JsonTokenType.Number || !reader.TryGetInt32(out var whole) || whole < 0)
                throw places.Wrong(value, $"'{name}' is a whole number up to {int.MaxValue}; write one");
            number = whole;
        }
        else if (name == "probability")
        {
            number = reader.TokenType == JsonTokenType.Number && reader.TryGetDouble(out var part) && part is >= 0 and <= 1
                ? part : throw places.Wrong(value, "a probability is a number from 0 to 1; write one, such as 0.01");
        }
        else if (name is "hang" or "die")
        {
            if (reader.TokenType != JsonTokenType.True)
                throw places.Wrong(value, $"write \"{name}\": true, or leave it out");
        }
        else
        {
            throw places.Wrong(at, $"'{NearestNames.Shown(name)}' means nothing here; write call, vcpu, at, from, times, probability, phase, after-registers, {Actions}");
        }

        if (!_values.TryAdd(name, (value, text, number)))
            throw places.Wrong(at, $"'{name}' stands here twice; write it once");
    }

    /// <summary>Makes the rule.</summary>
    public void AddTo(FaultPlan plan, FaultFile.Places places)
    {
        var actions = s_actions.Where(_values.ContainsKey).ToList();
        if (!_values.TryGetValue("call", out var call))
            throw places.Wrong(offset, "the call is missing; write \"call\": \"KVM_RUN\"");
        if (actions.Count != 1)
            throw places.Wrong(offset, $"{(actions.Count == 0 ? "nothing goes wrong here" : "two things go wrong here")}; write one of {Actions}");
        if (_values.TryGetValue("from", out var from) && _values.ContainsKey("at"))
            throw places.Wrong(from.Offset, "at is one call, from is that and all that follow; write one of them");
        if (_values.TryGetValue("times", out var times) && (times.Number < 1 || !_values.ContainsKey("from")))
            throw places.Wrong(times.Offset, "times says at how many calls, from the one that 'from' names on; write both, times from 1");
        var at = Number("at", places, 1) ?? Number("from", places, 1);
        var when = new FaultWhen(
            call.Text,
            (int?)Number("vcpu", places, 0),
            at,
            _values.ContainsKey("at") ? 1 : Number("times", places, 1),
            _values.TryGetValue("probability", out var probability) ? probability.Number : 1,
            Phase(places));
        try
        {
            _ = plan.On(when.Call);
        }
        catch (ArgumentException unknown)
        {
            throw places.Wrong(call.Offset, OneLine(unknown));
        }

        var action = ActionOf(actions[0], places);
        try
        {
            var place = places.At(call.Offset);
            plan.Add(when, action).Places = new FaultPlaces(place, _values.TryGetValue("vcpu", out var vcpu) ? places.At(vcpu.Offset) : place);
        }
        catch (ArgumentException impossible)
        {
            throw places.Wrong(_values[impossible.ParamName == nameof(when) ? "vcpu" : actions[0]].Offset, OneLine(impossible));
        }
    }

    // A phase that there is none of would never come, and the fault never be met.
    private string? Phase(FaultFile.Places places)
    {
        if (!_values.TryGetValue("phase", out var phase))
            return null;
        var phases = Enum.GetNames<RoundPhase>();
        return phases.Contains(phase.Text, StringComparer.Ordinal)
            ? phase.Text
            : throw places.Wrong(phase.Offset, $"there is no phase '{NearestNames.Shown(phase.Text)}'; write one of {string.Join(", ", phases)}");
    }

    private FaultAction ActionOf(string name, FaultFile.Places places)
    {
        var (at, text, _) = _values[name];
        if (_values.TryGetValue("after-registers", out var registers) && name != "fail")
            throw places.Wrong(registers.Offset, "only what fails does so after some registers; leave it out");
        return name switch
        {
            "fail" => new FaultAction.Fail(Errno(text, at, places), (int?)Number("after-registers", places, 0)),
            "lose-machine" => new FaultAction.LoseMachine(Errno(text, at, places)),
            "delay" => new FaultAction.Delay(Duration(text) ?? throw places.Wrong(at, $"'{NearestNames.Shown(text)}' is no duration of less than 30 days; write a number with ms, s or m, such as \"200ms\"")),
            "hang" => new FaultAction.Hang(),
            "die" => new FaultAction.Die(),
            "exit" => text switch
            {
                "triple-fault" => new FaultAction.Exit(FaultExit.TripleFault),
                "internal-error" => new FaultAction.Exit(FaultExit.InternalError, 1),
                _ => throw places.Wrong(at, $"there is no exit '{NearestNames.Shown(text)}'; write triple-fault or internal-error"),
            },
            _ => EndOf(text, at, places),
        };
    }

    private static FaultAction EndOf(string text, long at, FaultFile.Places places) => text switch
    {
        "refused" => new FaultAction.Refuse("the store is busy"),
        "unknown" => new FaultAction.Unknown(null, "the end of the write is not known"),
        "lost-before-commit" => new FaultAction.Unknown(false, "the connection was lost before the commit was answered"),
        "lost-after-commit" => new FaultAction.Unknown(true, "the connection was lost before the commit was answered"),
        "sync-failed" => new FaultAction.Unknown(null, "fsync of the journal failed: EIO"),
        _ => throw places.Wrong(at, $"there is no end '{NearestNames.Shown(text)}'; write refused, unknown, lost-before-commit, lost-after-commit or sync-failed"),
    };

    private static int Errno(string name, long at, FaultFile.Places places) => ErrorNumbers.TryParse(name, out var number)
        ? number
        : throw places.Wrong(at, $"there is no error number '{NearestNames.Shown(name)}'; the nearest are {string.Join(", ", NearestNames.Of(name, [.. ErrorNumbers.Names]))}");

    private long? Number(string name, FaultFile.Places places, long least)
    {
        if (!_values.TryGetValue(name, out var value))
            return null;
        return value.Number >= least ? (long)value.Number : throw places.Wrong(value.Offset, $"'{name}' counts from {least}");
    }

    private static TimeSpan? Duration(string text)
    {
        var unit = text.TrimStart('0', '1', '2', '3', '4', '5', '6', '7', '8', '9', '.');
        var milliseconds = unit switch { "ms" => 1, "s" => 1_000, "m" => 60_000, _ => 0 };
        return milliseconds > 0
            && double.TryParse(text.AsSpan(0, text.Length - unit.Length), NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var number)
            && number * milliseconds is var duration and < 30L * 24 * 3600 * 1000
            && TimeSpan.FromMilliseconds(duration) is { Ticks: > 0 } delay
            ? delay
            : null;
    }

    // .NET adds the parameter's name behind the message.
    private static string OneLine(ArgumentException failure) => failure.Message.Split(" (Parameter ")[0];
}
