namespace Checkpoint.Cli.Tests.Parsing;

public class StoreSettingsTests
{
    [Fact]
    public async Task The_option_goes_before_the_variable_and_the_variable_before_the_settings_file()
    {
        using var sandbox = new Sandbox();
        var file = Write(sandbox, """{"Store": "sqlite:/nowhere/of-file.db"}""");

        (await sandbox.RunPlainAsync(["list", "--config", file])).Fails(4, "/nowhere/of-file.db");
        sandbox.Variables["CHECKPOINT_STORE"] = "sqlite:/nowhere/of-variable.db";
        (await sandbox.RunPlainAsync(["list", "--config", file])).Fails(4, "/nowhere/of-variable.db");
        (await sandbox.RunPlainAsync(["list", "--config", file, "--store", "sqlite:/nowhere/of-option.db"])).Fails(4, "/nowhere/of-option.db");
    }

    [Fact]
    public async Task An_empty_variable_names_no_store()
    {
        using var sandbox = new Sandbox();
        sandbox.Variables["CHECKPOINT_STORE"] = "";
        (await sandbox.RunPlainAsync(["list", "--config", Write(sandbox, """{"Store": "sqlite:/nowhere/of-file.db"}""")])).Fails(4, "/nowhere/of-file.db");
    }

    [Theory]
    [InlineData("""{"Stoer": "sqlite:a.db"}""")]
    [InlineData("""{"Store": 5}""")]
    [InlineData("not json")]
    [InlineData("")]
    public async Task A_settings_file_that_cannot_be_understood_is_a_usage_error(string content)
    {
        using var sandbox = new Sandbox();
        var file = Write(sandbox, content);
        (await sandbox.RunPlainAsync(["list", "--config", file])).Fails(2, file, "Store");
    }

    [Fact]
    public async Task A_settings_file_that_is_not_there_is_a_usage_error()
    {
        using var sandbox = new Sandbox();
        (await sandbox.RunPlainAsync(["list", "--config", "/nowhere/settings.json"])).Fails(2, "/nowhere/settings.json");
    }

    [Fact]
    public async Task Comments_and_trailing_commas_are_allowed_in_a_settings_file()
    {
        using var sandbox = new Sandbox();
        var file = Write(sandbox, "{\n  // where\n  \"Store\": \"sqlite:/nowhere/of-file.db\",\n}");
        (await sandbox.RunPlainAsync(["list", "--config", file])).Fails(4, "/nowhere/of-file.db");
    }

    private static string Write(Sandbox sandbox, string content)
    {
        var path = Path.Combine(sandbox.Folder, "settings.json");
        File.WriteAllText(path, content);
        return path;
    }
}
