using System.CommandLine;
using System.CommandLine.Parsing;
using System.Globalization;
using Checkpoint.Protocol.History;
using Checkpoint.Protocol.State;

namespace Checkpoint.Cli.Parsing;

/// <summary>Options and arguments that read the product's own notations. What cannot be read is a usage error of one line.</summary>
internal static class TypedOptions
{
    private delegate bool Reader<T>(string text, out T value, out string? reason);

    /// <summary>A duration of at most <paramref name="longest"/>; null for the longest that there is.</summary>
    public static Option<TimeSpan?> Duration(string name, string description, TimeSpan? longest = null) => new(name)
    {
        Description = description,
        HelpName = "D",
        CustomParser = Parser<TimeSpan?>(name, (string text, out TimeSpan? value, out string? reason) =>
        {
            var isRead = Parsing.Duration.TryParse(text, out var duration, out reason, longest);
            value = isRead ? duration : null;
            return isRead;
        }),
    };

    /// <summary>A size in whole pages.</summary>
    public static Option<ulong?> MemorySize(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "SIZE",
        CustomParser = Parser<ulong?>(name, static (string text, out ulong? value, out string? reason) =>
        {
            var isRead = ByteSize.TryParse(text, out var bytes, out reason);
            if (isRead && (bytes == 0 || bytes % MemoryRegion.PageBytes != 0))
                reason = $"'{text}' is not possible: write a multiple of {MemoryRegion.PageBytes} bytes, such as 64MiB";
            value = reason is null ? bytes : null;
            return reason is null;
        }),
    };

    /// <summary>A whole number from <paramref name="least"/> to <paramref name="most"/>.</summary>
    public static Option<int?> Number(string name, string description, int least, int most) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = Parser<int?>(name, (string text, out int? value, out string? reason) =>
        {
            var isRead = int.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) && number >= least && number <= most;
            value = isRead ? number : null;
            var range = most == int.MaxValue ? $"from {least}" : string.Create(CultureInfo.InvariantCulture, $"from {least} to {most}");
            reason = isRead ? null : $"'{text}' is not possible: write a whole number {range}";
            return isRead;
        }),
    };

    /// <summary>Any whole number of 64 bits without a sign.</summary>
    public static Option<ulong?> Seed(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "N",
        CustomParser = Parser<ulong?>(name, static (string text, out ulong? value, out string? reason) =>
        {
            var isRead = ulong.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var number);
            value = isRead ? number : null;
            reason = isRead ? null : $"'{text}' is not possible: write a whole number from 0 to {ulong.MaxValue}";
            return isRead;
        }),
    };

    public static Option<string?> Machine(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "NAME",
        CustomParser = Parser<string?>(name, static (string text, out string? value, out string? reason) =>
        {
            value = text;
            return MachineName.IsValid(text, out reason);
        }),
    };

    public static Option<CheckpointReference?> Reference(string name, string description) => new(name)
    {
        Description = description,
        HelpName = "REF",
        CustomParser = Parser<CheckpointReference?>(name, ReadReference),
    };

    public static Argument<CheckpointReference?> ReferenceArgument(string description, bool isOptional = false, string name = "REF") => new(name)
    {
        Description = description,
        Arity = isOptional ? ArgumentArity.ZeroOrOne : ArgumentArity.ExactlyOne,
        CustomParser = Parser<CheckpointReference?>(name, ReadReference),
    };

    /// <summary>One of some words; the first is what is taken where nothing is said.</summary>
    public static Option<string> Choice(string name, string description, params string[] words)
    {
        var option = new Option<string>(name)
        {
            Description = description,
            HelpName = string.Join('|', words),
            DefaultValueFactory = _ => words[0],
            CustomParser = Parser<string>(name, (string text, out string value, out string? reason) =>
            {
                value = text;
                reason = words.Contains(text) ? null : $"'{text}' is not possible: write {string.Join(" or ", words)}";
                return reason is null;
            }),
        };
        option.CompletionSources.Add(words);
        return option;
    }

    private static bool ReadReference(string text, out CheckpointReference? value, out string? reason)
    {
        if (CheckpointReference.TryParse(text, out value, out reason))
            return true;
        // What is no option of the command is taken for its argument.
        if (text.StartsWith('-'))
            reason = $"'{text}' is no option of this command";
        return false;
    }

    private static Func<ArgumentResult, T?> Parser<T>(string name, Reader<T> read) => result =>
    {
        if (result.Tokens.Count == 0)
            return default;
        if (read(result.Tokens[^1].Value, out var value, out var reason))
            return value;
        result.AddError($"{name}: {reason}");
        return default;
    };
}
