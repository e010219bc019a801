using Checkpoint.Protocol.Events;
using Checkpoint.Storage.Payloads;

namespace Checkpoint.Storage.Tests.Payloads;

/// <summary>
/// Bytes that an earlier version wrote, one file a contract and version. A file is never changed: a contract that changes gets a
/// new version and a new file. CHECKPOINT_WRITE_GOLDEN=FOLDER writes the files that are missing there.
/// </summary>
public sealed class GoldenFileTests
{
    public static TheoryData<string> Names => [.. Contracts().Keys];

    [Theory]
    [MemberData(nameof(Names))]
    public void The_bytes_of_each_contract_still_decode(string name)
    {
        var (written, decode, expected) = Contracts()[name];
        if (Environment.GetEnvironmentVariable("CHECKPOINT_WRITE_GOLDEN") is { Length: > 0 } folder && !File.Exists(Path.Combine(folder, name + ".hex")))
            File.WriteAllText(Path.Combine(folder, name + ".hex"), string.Join('\n', Convert.ToHexStringLower(written).Chunk(96).Select(line => new string(line))) + "\n");
        var golden = Convert.FromHexString(File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Payloads", "golden", name + ".hex")).ReplaceLineEndings(""));
        Assert.Equal(expected, Shape.Of(decode(golden)));
        Assert.Equal(Convert.ToHexString(golden), Convert.ToHexString(written));
    }

    internal static Dictionary<string, (byte[] Written, Func<byte[], object> Decode, string Expected)> Contracts()
    {
        var contracts = new Dictionary<string, (byte[], Func<byte[], object>, string)>();
        foreach (var @event in Samples.OneOfEach())
        {
            var manifest = EventCodec.ManifestOf(@event);
            var previous = Digest.Of("the one before"u8);
            contracts[manifest] = (
                Samples.Encode(previous, @event),
                bytes => EventCodec.Decode(manifest, 3, bytes),
                Shape.Of(new JournalEntry(3, previous, @event)));
        }

        contracts[SnapshotCodec.Manifest] = (
            Samples.Encode(Samples.History()),
            bytes => SnapshotCodec.Decode(SnapshotCodec.Manifest, bytes),
            Shape.Of(Samples.History()));
        contracts["state-document-v1"] = (
            StateDocumentCodec.Encode(Samples.Document()).ToArray(),
            bytes => StateDocumentCodec.Decode(bytes),
            Shape.Of(Samples.Document()));
        return contracts;
    }
}
