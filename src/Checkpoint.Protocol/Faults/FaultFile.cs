using System.Text;
using System.Text.Json;

namespace Checkpoint.Protocol.Faults;

/// <summary>
/// Faults as JSON, for operators who rehearse: an object with <c>seed</c> and <c>faults</c>, each fault with <c>call</c>, when
/// (<c>vcpu</c>, <c>at</c> or <c>from</c>, <c>times</c>, <c>probability</c>, <c>phase</c>) and one thing that goes wrong (<c>fail</c>, <c>delay</c>,
/// <c>hang</c>, <c>die</c>, <c>exit</c>, <c>lose-machine</c>, <c>end</c>). Comments and trailing commas are allowed; docs/FAULTS.md explains each.
/// </summary>
public static class FaultFile
{
    /// <summary>Reads a file's text.</summary>
    /// <param name="json">The text.</param>
    /// <param name="source">What messages call it: the file's path.</param>
    /// <param name="waits">How delays and hangs pass; null: by the system's clock.</param>
    /// <exception cref="FaultFileException">It is no list of faults; the message says where and what to write.</exception>
    public static FaultPlan Parse(string json, string source, IFaultWaits? waits = null)
    {
        var bytes = Encoding.UTF8.GetBytes(json);
        var places = new Places(bytes, source);
        try
        {
            var reader = new Utf8JsonReader(bytes, new JsonReaderOptions { AllowTrailingCommas = true, CommentHandling = JsonCommentHandling.Skip });
            return Read(ref reader, places, waits);
        }
        catch (JsonException failure)
        {
            throw new FaultFileException(
                source, (int)(failure.LineNumber ?? 0) + 1, (int)(failure.BytePositionInLine ?? 0) + 1, "this is not JSON; correct the text there");
        }
    }

    private static FaultPlan Read(ref Utf8JsonReader reader, Places places, IFaultWaits? waits)
    {
        reader.Read();
        places.Require(reader, JsonTokenType.StartObject, "an object: { \"faults\": [ … ] }");
        ulong? seed = null;
        List<FaultLine>? rules = null;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = places.Text(reader);
            var at = reader.TokenStartIndex;
            reader.Read();
            switch (name)
            {
                case "seed" when seed is null:
                    seed = reader.TokenType == JsonTokenType.Number && reader.TryGetUInt64(out var number)
                        ? number : throw places.Wrong(reader.TokenStartIndex, "a seed is a whole number from 0 to 18446744073709551615; write \"seed\": 7");
                    break;
                case "faults" when rules is null:
                    rules = ReadFaults(ref reader, places);
                    break;
                case "seed" or "faults":
                    throw places.Wrong(at, $"'{name}' stands here twice; write it once");
                default:
                    throw places.Wrong(at, $"'{NearestNames.Shown(name)}' means nothing here; write seed or faults");
            }
        }

        // What follows the object is an error of the reader's, and it looks only when it is asked for more.
        reader.Read();
        if (rules is null)
            throw places.Wrong(0, "there is no list of faults; write \"faults\": [ … ]");
        var plan = new FaultPlan(seed ?? 0, waits);
        foreach (var rule in rules)
            rule.AddTo(plan, places);
        return plan;
    }

    private static List<FaultLine> ReadFaults(ref Utf8JsonReader reader, Places places)
    {
        var rules = new List<FaultLine>();
        places.Require(reader, JsonTokenType.StartArray, "a list: [ { \"call\": … }, … ]");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            places.Require(reader, JsonTokenType.StartObject, "an object: { \"call\": … }");
            var rule = new FaultLine(reader.TokenStartIndex);
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = places.Text(reader);
                var at = reader.TokenStartIndex;
                reader.Read();
                rule.Set(name, at, ref reader, places);
            }

            rules.Add(rule);
        }

        return rules;
    }

    /// <summary>Where in a text something stands.</summary>
    internal sealed class Places(byte[] bytes, string source)
    {
        /// <summary>Something is wrong at a place.</summary>
        public FaultFileException Wrong(long offset, string what)
        {
            var (line, column) = At(offset);
            return new FaultFileException(source, line, column, what);
        }

        /// <summary>The line and the column of a place, both from 1.</summary>
        public (int Line, int Column) At(long offset)
        {
            var before = bytes.AsSpan(0, (int)offset);
            return (before.Count((byte)'\n') + 1, (int)offset - before.LastIndexOf((byte)'\n'));
        }

        /// <summary>Something else stands where this must.</summary>
        public void Require(in Utf8JsonReader reader, JsonTokenType type, string wanted)
        {
            if (reader.TokenType != type)
                throw Wrong(reader.TokenStartIndex, $"here is {NameOf(reader.TokenType)}; write {wanted}");
        }

        /// <summary>The text that stands here, a property's name or its value.</summary>
        public string Text(in Utf8JsonReader reader)
        {
            try
            {
                return reader.GetString()!;
            }
            catch (InvalidOperationException)
            {
                // An escape like \ud800 alone stands for no character; the reader finds that out when the text is asked for.
                throw Wrong(reader.TokenStartIndex, "this text holds half a character (such as \\ud800 alone); correct it");
            }
        }

        private static string NameOf(JsonTokenType type) => type switch
        {
            JsonTokenType.StartObject => "an object",
            JsonTokenType.StartArray => "a list",
            JsonTokenType.String => "a text",
            JsonTokenType.Number => "a number",
            _ => "true, false or null",
        };
    }
}
