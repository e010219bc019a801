using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Protocol.History;

/// <summary>How people name a checkpoint: <c>VM@latest</c>, <c>VM@12</c>, or 8 or more hex digits of its id.</summary>
public abstract record CheckpointReference
{
    private const int MinIdDigits = 8;
    private const int MaxIdDigits = 32;

    private CheckpointReference()
    {
    }

    /// <summary>One checkpoint of a machine that is named.</summary>
    public abstract record OfMachine(string Vm) : CheckpointReference
    {
        /// <summary>The checkpoint that this refers to; null where the machine has none such.</summary>
        public abstract MachineEvent.CheckpointCommitted? FindIn(MachineHistory history);
    }

    /// <summary>The machine's checkpoint with the highest number.</summary>
    public sealed record Latest(string Vm) : OfMachine(Vm)
    {
        /// <inheritdoc/>
        public override MachineEvent.CheckpointCommitted? FindIn(MachineHistory history) => history.Live.Values.LastOrDefault();

        /// <inheritdoc/>
        public override string ToString() => $"{Vm}@latest";
    }

    /// <summary>The machine's checkpoint with this number.</summary>
    public sealed record Numbered(string Vm, long Number) : OfMachine(Vm)
    {
        /// <inheritdoc/>
        public override MachineEvent.CheckpointCommitted? FindIn(MachineHistory history) => history.Live.GetValueOrDefault(Number);

        /// <inheritdoc/>
        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Vm}@{Number}");
    }

    /// <summary>The checkpoint whose id begins with these hex digits.</summary>
    public sealed record IdPrefix(string Digits) : CheckpointReference
    {
        /// <summary>Whether a checkpoint's id begins with the digits.</summary>
        public bool Fits(MachineEvent.CheckpointCommitted checkpoint) => checkpoint.Id.ToString().StartsWith(Digits, StringComparison.Ordinal);

        /// <inheritdoc/>
        public override string ToString() => Digits;
    }

    /// <summary>Reads a reference.</summary>
    /// <param name="text">What somebody typed.</param>
    /// <param name="reference">The reference.</param>
    /// <param name="reason">One line that says why it is none.</param>
    public static bool TryParse(
        string text,
        [NotNullWhen(true)] out CheckpointReference? reference,
        [NotNullWhen(false)] out string? reason)
    {
        reference = null;
        reason = null;
        var at = text.LastIndexOf('@');
        if (at < 0)
        {
            if (text.Length is >= MinIdDigits and <= MaxIdDigits && text.All(char.IsAsciiHexDigit))
                reference = new IdPrefix(text.ToLowerInvariant());
            else
                reason = $"'{text}' is no checkpoint: write VM@latest, VM@12, or {MinIdDigits} to {MaxIdDigits} hex digits of its id";
            return reason is null;
        }

        var vm = text[..at];
        var which = text[(at + 1)..];
        if (!MachineName.IsValid(vm, out reason))
            return false;
        if (which == "latest")
            reference = new Latest(vm);
        else if (long.TryParse(which, NumberStyles.None, CultureInfo.InvariantCulture, out var number) && number > 0)
            reference = new Numbered(vm, number);
        else
            reason = $"'{text}' is no checkpoint: after the @ stands 'latest' or a number from 1";
        return reason is null;
    }
}
