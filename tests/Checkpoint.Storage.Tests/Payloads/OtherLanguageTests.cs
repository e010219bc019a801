using System.Text.Json;

namespace Checkpoint.Storage.Tests.Payloads;

public sealed class OtherLanguageTests
{
    /// <summary>Prints each payload as JSON: bytes as hex, times as nanoseconds.</summary>
    private const string Script =
        """
        import sys, json, msgpack
        def plain(v):
            if isinstance(v, bytes): return v.hex()
            if isinstance(v, msgpack.Timestamp): return v.to_unix_nano()
            raise TypeError(type(v))
        for line in sys.stdin:
            print(json.dumps(msgpack.unpackb(bytes.fromhex(line.strip()), strict_map_key=False), default=plain))
        """;

    [PythonFact]
    public void A_decoder_of_another_language_reads_every_payload()
    {
        var contracts = GoldenFileTests.Contracts();
        var (code, output) = PythonFactAttribute.Run(PythonFactAttribute.Python, Script, string.Join('\n', contracts.Values.Select(contract => Convert.ToHexString(contract.Written))));
        Assert.True(code == 0, output);
        var decoded = contracts.Keys.Zip(output.Trim().Split('\n'), (name, line) => (name, JsonDocument.Parse(line).RootElement)).ToDictionary();

        var committed = decoded["checkpoint-committed-v1"];
        Assert.Equal(15, committed.GetArrayLength());
        Assert.Equal(64, committed[0].GetString()!.Length);
        Assert.Equal((Samples.Noon.AddTicks(1) - DateTimeOffset.UnixEpoch).Ticks * 100, committed[1].GetInt64());
        Assert.Equal(1, committed[2].GetInt64());
        Assert.Equal("0123456789abcdf0fedcba9876543210", committed[3].GetString());
        Assert.Equal(JsonValueKind.Null, committed[4].ValueKind);
        Assert.Equal("nightly", committed[7].GetString());
        Assert.Equal("000000000001-x.seg", committed[10][0].GetString());
        Assert.Equal("many-regs", committed[14].GetString());

        Assert.Equal(0x6030_0000_0013_c102UL, decoded["checkpoint-aborted-v1"][4].GetUInt64());
        Assert.Equal("00112233445566778899aabbccddeeff", decoded["machine-restored-v1"][7].GetString());
        Assert.Equal("ünï", decoded["state-document-v1"][4][1][0].GetString());
        Assert.Equal(ulong.MaxValue, decoded["state-document-v1"][1][4][0][2][3].GetUInt64());
        Assert.Equal(2, decoded["machine-history-v2"].GetArrayLength());
        Assert.Equal(64, decoded["machine-history-v2"][0].GetString()!.Length);
    }
}
