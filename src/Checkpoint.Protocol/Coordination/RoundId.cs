namespace Checkpoint.Protocol.Coordination;

/// <summary>One attempt at a checkpoint. Reports that carry another round's id are late and are dropped.</summary>
/// <param name="Value">Grows by one with each attempt of this coordinator.</param>
public readonly record struct RoundId(long Value);

/// <summary>A moment as the shell saw it: the core has no clock.</summary>
/// <param name="MonotonicUs">Microseconds of a clock that never goes back.</param>
/// <param name="Wall">The wall clock, for what is stored.</param>
public readonly record struct Moment(long MonotonicUs, DateTimeOffset Wall);
