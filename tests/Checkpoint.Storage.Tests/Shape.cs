using System.Collections;
using System.Globalization;
using System.Text;
using Checkpoint.Protocol.Events;

namespace Checkpoint.Storage.Tests;

/// <summary>A value with everything in it as text: two values are the same when their texts are, arrays and bytes included.</summary>
internal static class Shape
{
    public static string Of(object? value) => value switch
    {
        null => "null",
        string text => $"\"{text}\"",
        ReadOnlyMemory<byte> bytes => Convert.ToHexString(bytes.Span),
        Digest digest => digest.ToString(),
        DateTimeOffset time => time.UtcTicks.ToString(CultureInfo.InvariantCulture),
        Enum or bool or Guid => value.ToString()!,
        IFormattable number when value.GetType().IsPrimitive || value is UInt128 => number.ToString(null, CultureInfo.InvariantCulture),
        IEnumerable items => "[" + string.Join(", ", items.Cast<object?>().Select(Of)) + "]",
        _ => Members(value),
    };

    private static string Members(object value)
    {
        var text = new StringBuilder(value.GetType().Name).Append(" {");
        foreach (var property in value.GetType().GetProperties().Where(property => property.GetMethod is { IsStatic: false }))
            text.Append(' ').Append(property.Name).Append('=').Append(Of(property.GetValue(value)));
        return text.Append(" }").ToString();
    }
}
