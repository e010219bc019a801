using System.Globalization;
using System.Runtime.CompilerServices;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.Coordination;

/// <summary>
/// What an option may be. Options check themselves when they are set, so no deadline reaches a timer that the timer cannot do,
/// wherever the option was read.
/// </summary>
public static class OptionLimits
{
    /// <summary>The longest deadline; timers can do a few weeks, and nobody waits a day for a pause.</summary>
    public static TimeSpan LongestDeadline { get; } = TimeSpan.FromDays(1);

    /// <summary>The shortest time from one checkpoint of a schedule to the next.</summary>
    public static TimeSpan ShortestInterval { get; } = TimeSpan.FromMilliseconds(1);

    /// <summary>The longest time from one checkpoint of a schedule to the next.</summary>
    public static TimeSpan LongestInterval { get; } = TimeSpan.FromDays(366);

    /// <summary>A time that somebody waits for somebody: from 1 ms to <see cref="LongestDeadline"/>.</summary>
    /// <exception cref="OptionOutOfRangeException">It is another one.</exception>
    public static TimeSpan Deadline(TimeSpan value, [CallerMemberName] string option = "") =>
        Between(value, TimeSpan.FromMilliseconds(1), LongestDeadline, "a duration from 1ms to 1d", option);

    /// <summary>A time that may be none at all: from 0 to <see cref="LongestDeadline"/>.</summary>
    /// <exception cref="OptionOutOfRangeException">It is another one.</exception>
    public static TimeSpan Grace(TimeSpan value, [CallerMemberName] string option = "") =>
        Between(value, TimeSpan.Zero, LongestDeadline, "a duration from 0ms to 1d", option);

    /// <summary>The longest pause of a guest: more than none, and at most <see cref="LongestDeadline"/>.</summary>
    /// <exception cref="OptionOutOfRangeException">It is another one.</exception>
    public static TimeSpan Pause(TimeSpan value, [CallerMemberName] string option = "") =>
        Between(value, TimeSpan.FromMicroseconds(1), LongestDeadline, "a duration from 0.001ms to 1d", option);

    /// <summary>One of the ways to meet a pause that would be too long.</summary>
    /// <exception cref="OptionOutOfRangeException">It is none.</exception>
    public static OverMaxPause Over(OverMaxPause value, [CallerMemberName] string option = "") =>
        Enum.IsDefined(value) ? value : throw new OptionOutOfRangeException(option, value.ToString("D"), "protect, refuse or exceed");

    /// <summary>The time from one checkpoint of a schedule to the next: from <see cref="ShortestInterval"/> to <see cref="LongestInterval"/>.</summary>
    /// <exception cref="OptionOutOfRangeException">It is another one.</exception>
    public static TimeSpan Interval(TimeSpan value, [CallerMemberName] string option = "") =>
        Between(value, ShortestInterval, LongestInterval, "a duration from 1ms to 366d", option);

    /// <summary>How many of something: at least 1.</summary>
    /// <exception cref="OptionOutOfRangeException">It is less.</exception>
    public static int Count(int value, [CallerMemberName] string option = "") =>
        value >= 1 ? value : throw new OptionOutOfRangeException(option, value.ToString(CultureInfo.InvariantCulture), "a whole number from 1");

    /// <summary>One of the modes that there are.</summary>
    /// <exception cref="OptionOutOfRangeException">It is none.</exception>
    public static CheckpointMode Mode(CheckpointMode value, [CallerMemberName] string option = "") =>
        Enum.IsDefined(value) ? value : throw new OptionOutOfRangeException(option, value.ToString("D"), "full or incremental");

    private static TimeSpan Between(TimeSpan value, TimeSpan least, TimeSpan most, string allowed, string option) =>
        value >= least && value <= most ? value : throw new OptionOutOfRangeException(option, Describe(value), allowed);

    private static string Describe(TimeSpan value) => value == Timeout.InfiniteTimeSpan
        ? "infinite"
        : string.Create(CultureInfo.InvariantCulture, $"{value.TotalMilliseconds:0.####}ms");
}
