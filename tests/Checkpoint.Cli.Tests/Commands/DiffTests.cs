using System.Globalization;
using System.Text.Json;

namespace Checkpoint.Cli.Tests.Commands;

public class DiffTests
{
    [Theory]
    [InlineData("x64", "rbp")]
    [InlineData("arm64", "x3")]
    public async Task Two_checkpoints_of_a_counter_differ_in_its_registers_and_in_the_pages_that_it_writes(string arch, string name)
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("c", 2, "--machine", "sim", "--arch", arch, "--guest", "counter", "--vcpus", "1");
        var answer = await sandbox.RunAsync("diff", "c@1", "c@2", "--json");
        Assert.Equal((0, ""), (answer.ExitCode, answer.Error));
        var registers = Of(answer, "register");
        var n = registers.Single(line => line.GetProperty("name").GetString() == name);
        Assert.Equal(0, n.GetProperty("vcpu").GetInt32());
        var shown = (await RegisterAsync(sandbox, "c@1", name), await RegisterAsync(sandbox, "c@2", name));
        Assert.Equal(shown, (n.GetProperty("left").GetString(), n.GetProperty("right").GetString()));
        Assert.All(registers, line => Assert.NotEqual(line.GetProperty("left").GetString(), line.GetProperty("right").GetString()));

        var pages = Of(answer, "pages");
        Assert.NotEmpty(pages);
        var addresses = pages.Select(line => ulong.Parse(line.GetProperty("guest_address").GetString()![2..], NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture)).ToList();
        Assert.Equal(addresses.Order(), addresses);
        Assert.Contains("guest", Of(answer, "device").Select(line => line.GetProperty("name").GetString()));
        var end = answer.Json[^1];
        Assert.Equal("diff", end.GetProperty("event").GetString());
        Assert.Equal((registers.Count, pages.Sum(line => line.GetProperty("pages").GetInt64())), (end.GetProperty("registers").GetInt32(), end.GetProperty("pages").GetInt64()));

        var table = (await sandbox.RunAsync("diff", "c@1", "c@2")).Output;
        Assert.Contains("vCPU 0", table, StringComparison.Ordinal);
        Assert.Contains("c@1 and c@2 differ in", table, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_checkpoint_differs_in_nothing_from_itself()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "sim");
        var end = Assert.Single((await sandbox.RunAsync("diff", "a@1", "a@latest", "--json")).Json);
        Assert.Equal((0, 0, 0), (end.GetProperty("registers").GetInt32(), end.GetProperty("devices").GetInt32(), end.GetProperty("pages").GetInt32()));
        Assert.Contains("are the same", (await sandbox.RunAsync("diff", "a@1", "a@1")).Output, StringComparison.Ordinal);
    }

    [Fact]
    public async Task What_only_one_of_the_machines_has_differs()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 1, "--machine", "sim", "--vcpus", "1", "--seed", "1");
        await sandbox.MakeCheckpointsAsync("b", 1, "--machine", "sim", "--vcpus", "2", "--memory", "12MiB", "--seed", "1");
        var answer = await sandbox.RunAsync("diff", "a@1", "b@1", "--json");
        Assert.Equal(0, answer.ExitCode);
        var ofNobody = Of(answer, "register").First(line => line.GetProperty("vcpu").ValueKind == JsonValueKind.Number && line.GetProperty("vcpu").GetInt32() == 1);
        Assert.Equal(JsonValueKind.Null, ofNobody.GetProperty("left").ValueKind);
        var last = Of(answer, "pages")[^1];
        Assert.Equal(("0x800000", 1024), (last.GetProperty("guest_address").GetString(), last.GetProperty("pages").GetInt64()));
    }

    [Fact]
    public async Task What_is_not_there_or_damaged_is_told_as_everywhere()
    {
        using var sandbox = new Sandbox();
        await sandbox.MakeCheckpointsAsync("a", 2, "--machine", "sim");
        (await sandbox.RunAsync("diff", "a@1", "a@9")).Fails(4);
        File.Delete(sandbox.SegmentPathOf(await sandbox.EventOfAsync("a", 2)));
        (await sandbox.RunAsync("diff", "a@1", "a@2")).Fails(3, "missing");
    }

    private static List<JsonElement> Of(Answer answer, string name) => [.. answer.Json.Where(line => line.GetProperty("event").GetString() == name)];

    private static async Task<string?> RegisterAsync(Sandbox sandbox, string reference, string name) =>
        Of(await sandbox.RunAsync("show", reference, "--registers", "--json"), "registers")[0].GetProperty("registers").GetProperty(name).GetString();
}
