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
        catch (InvalidOperationException)
        {
            // An escape like \ud800 alone stands for no character; the reader finds that out when the text is asked for.
            throw new FaultFileException(source, 1, 1, "a text holds half a character (such as \\ud800 alone); correct it");
        }
    }

    private static FaultPlan Read(ref Utf8JsonReader reader, Places places, IFaultWaits? waits)
    {
        reader.Read();
        places.Require(reader, JsonTokenType.StartObject, "an object: { \"faults\": [ … ] }");
        var seed = 0UL;
        var rules = new List<FaultLine>();
        var hasFaults = false;
        while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
        {
            var name = reader.GetString()!;
            var at = reader.TokenStartIndex;
            reader.Read();
            switch (name)
            {
                case "seed":
                    if (reader.TokenType != JsonTokenType.Number || !reader.TryGetUInt64(out seed))
                        throw places.Wrong(reader.TokenStartIndex, "a seed is a whole number; write \"seed\": 7");
                    break;
                case "faults":
                    hasFaults = true;
                    ReadFaults(ref reader, places, rules);
                    break;
                default:
                    throw places.Wrong(at, $"'{name}' means nothing here; write seed or faults");
            }
        }

        if (!hasFaults)
            throw places.Wrong(0, "there is no list of faults; write \"faults\": [ … ]");
        var plan = new FaultPlan(seed, waits);
        foreach (var rule in rules)
            rule.AddTo(plan, places);
        return plan;
    }

    private static void ReadFaults(ref Utf8JsonReader reader, Places places, List<FaultLine> rules)
    {
        places.Require(reader, JsonTokenType.StartArray, "a list: [ { \"call\": … }, … ]");
        while (reader.Read() && reader.TokenType != JsonTokenType.EndArray)
        {
            places.Require(reader, JsonTokenType.StartObject, "an object: { \"call\": … }");
            var rule = new FaultLine(reader.TokenStartIndex);
            while (reader.Read() && reader.TokenType == JsonTokenType.PropertyName)
            {
                var name = reader.GetString()!;
                var at = reader.TokenStartIndex;
                reader.Read();
                rule.Set(name, at, ref reader, places);
            }

            rules.Add(rule);
        }
    }

    /// <summary>Where in a text something stands.</summary>
    internal sealed class Places(byte[] bytes, string source)
    {
        /// <summary>Something is wrong at a place.</summary>
        public FaultFileException Wrong(long offset, string what)
        {
            var before = bytes.AsSpan(0, (int)offset);
            return new FaultFileException(source, before.Count((byte)'\n') + 1, (int)offset - before.LastIndexOf((byte)'\n'), what);
        }

        /// <summary>Something else stands where this must.</summary>
        public void Require(in Utf8JsonReader reader, JsonTokenType type, string wanted)
        {
            if (reader.TokenType != type)
                throw Wrong(reader.TokenStartIndex, $"here is a {reader.TokenType}; write {wanted}");
        }
    }
}
