using System.Collections.Immutable;
using System.Globalization;
using System.Text.Json;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// Register policies as JSON: an object with a <c>name</c> and <c>rules</c>, each rule with <c>register</c>, <c>action</c>,
/// <c>why</c> and, with the action ignore, the <c>bits</c> that may differ (<c>"0x4"</c>). Comments and trailing commas are allowed.
/// </summary>
public static class RegisterPolicyFile
{
    private const string Actions = "require, compare, may-be-missing or ignore";

    private const long MaxBytes = 1 << 20;

    private static readonly JsonDocumentOptions s_options = new() { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip };

    /// <summary>Reads a policy's file.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="RegisterPolicyException">It cannot be read, or is no policy; one line says what, where, and what to do.</exception>
    public static RegisterPolicy Load(string path)
    {
        try
        {
            // A pipe or a device has no length, and reading it may never end; an empty file is no policy either.
            var length = new FileInfo(path).Length;
            if (length is 0 or > MaxBytes)
                throw new RegisterPolicyException($"{path}: the register policy is empty, no ordinary file, or larger than 1 MiB; name another file");
            return Parse(File.ReadAllText(path), path);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException or ArgumentException or NotSupportedException)
        {
            throw new RegisterPolicyException($"{path}: the register policy cannot be read: {failure.Message}", failure);
        }
    }

    /// <summary>Reads a policy.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">What messages call it: the file's path.</param>
    /// <exception cref="RegisterPolicyException">It is no policy; one line says what, where, and what to do.</exception>
    public static RegisterPolicy Parse(string json, string source)
    {
        try
        {
            using var document = JsonDocument.Parse(json, s_options);
            return Policy(document.RootElement, source);
        }
        catch (JsonException failure)
        {
            var place = string.Create(CultureInfo.InvariantCulture, $"line {failure.LineNumber + 1}, byte {failure.BytePositionInLine + 1}");
            throw new RegisterPolicyException($"{source}: {place}: this is not JSON; correct the text there", failure);
        }
        catch (InvalidOperationException failure)
        {
            // An escape like \ud800 alone stands for no character; the reader finds that out when the text is asked for.
            throw new RegisterPolicyException($"{source}: a text holds half a character (such as \\ud800 alone); correct it", failure);
        }
    }

    private static RegisterPolicy Policy(JsonElement root, string source)
    {
        RequireObject(root, source, "the policy", "name", "rules");
        var name = Text(root, "name", source, string.Empty);
        if (!root.TryGetProperty("rules", out var rules) || rules.ValueKind != JsonValueKind.Array)
            throw Wrong(source, "rules", "there is no list of rules", "write \"rules\": [ … ]");
        var parsed = ImmutableArray.CreateBuilder<RegisterRule>();
        foreach (var rule in rules.EnumerateArray())
            parsed.Add(Rule(rule, source, string.Create(CultureInfo.InvariantCulture, $"rules[{parsed.Count}]")));
        return new RegisterPolicy(name, parsed.ToImmutable());
    }

    private static RegisterRule Rule(JsonElement rule, string source, string place)
    {
        RequireObject(rule, source, place, "register", "action", "why", "bits");
        var register = Text(rule, "register", source, place + ".");
        RequireKnown(register, source, $"{place}.register");
        var action = Text(rule, "action", source, place + ".") switch
        {
            "require" => RegisterAction.Require,
            "compare" => RegisterAction.Compare,
            "may-be-missing" => RegisterAction.MayBeMissing,
            "ignore" => RegisterAction.Ignore,
            var other => throw Wrong(source, $"{place}.action", $"there is no action '{other}'", $"write {Actions}"),
        };
        var bits = rule.TryGetProperty("bits", out _) ? Bits(Text(rule, "bits", source, place + "."), source, $"{place}.bits") : 0;
        if (bits != 0 && action != RegisterAction.Ignore)
            throw Wrong(source, $"{place}.bits", "only the action ignore has bits", "leave them out");
        return new RegisterRule(register, action, Text(rule, "why", source, place + "."), bits);
    }

    // A name that nothing has would be a rule that never counts.
    private static void RequireKnown(string register, string source, string place)
    {
        if (register.Contains('*', StringComparison.Ordinal))
            return;
        if (RegisterNames.TryParseAt(register, out _, out _))
            return;
        if (!RegisterNames.TryParse(register, out var id))
            throw Wrong(source, place, $"no register is called '{register}'", "write a name as a refusal shows it, or a pattern with *");
        if (RegisterNames.NameOf(id) is var name && name == register)
            return;
        if (!RegisterNames.TryParseField(register, out var field))
            throw Wrong(source, place, $"no register is called '{register}'", $"write '{name}'");
        if (field.Name != register)
            throw Wrong(source, place, $"no register is called '{register}'", $"write '{field.Name}'");
    }

    private static ulong Bits(string text, string source, string place) =>
        text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
        && ulong.TryParse(text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var bits) && bits != 0
            ? bits
            : throw Wrong(source, place, $"'{text}' names no bits", "write a hexadecimal number like \"0x4\"");

    private static void RequireObject(JsonElement element, string source, string place, params ReadOnlySpan<string> known)
    {
        if (element.ValueKind != JsonValueKind.Object)
            throw Wrong(source, place, $"here is a {element.ValueKind}", "write an object: { … }");
        var seen = new HashSet<string>();
        foreach (var property in element.EnumerateObject())
        {
            if (!seen.Add(property.Name))
                throw Wrong(source, place, $"'{property.Name}' stands here twice", "write it once");
            if (!known.Contains(property.Name))
                throw Wrong(source, place, $"'{property.Name}' means nothing here", $"write {string.Join(", ", known!)}");
        }
    }

    private static string Text(JsonElement element, string property, string source, string place)
    {
        if (!element.TryGetProperty(property, out var value) || value.ValueKind != JsonValueKind.String || value.GetString() is not { Length: > 0 } text)
            throw Wrong(source, place + property, "a text is missing", $"write \"{property}\": \"…\"");
        // It goes to terminals and logs, one line each.
        return text.Any(char.IsControl) ? throw Wrong(source, place + property, "the text holds control characters", "leave them out") : text;
    }

    private static RegisterPolicyException Wrong(string source, string place, string what, string remedy) =>
        new($"{source}: {place}: {what}; {remedy}");
}
