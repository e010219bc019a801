using System.Globalization;
using System.Text;
using Akka.Configuration;
using Akka.Configuration.Hocon;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka;

/// <summary>
/// Reads one section of a configuration. What a setting cannot be is refused in one line: its path, what was found, what to write.
/// </summary>
internal sealed class SettingsSection
{
    private readonly string _path;
    private readonly Config _config;

    private SettingsSection(string path, Config config)
    {
        _path = path;
        _config = config;
    }

    /// <summary>A section of the whole configuration.</summary>
    public static SettingsSection Of(Config system, string path) => new SettingsSection("", system).Section(path);

    /// <summary>A section of this one.</summary>
    public SettingsSection Section(string key) => _config.GetValue(key) is { } value && value.IsObject()
        ? new SettingsSection(PathOf(key), _config.GetConfig(key))
        : throw Wrong(key, "a section, { } with settings in it, or leave it out");

    /// <summary>Refuses settings that do not exist: a deadline with a letter too many would be no deadline.</summary>
    public void KnowOnly(params string[] keys)
    {
        foreach (var (key, _) in _config.AsEnumerable())
        {
            if (!keys.Contains(key))
                throw Wrong(key, $"one of its settings: {string.Join(", ", keys)}");
        }
    }

    /// <summary>A text; null in the configuration is an empty one.</summary>
    public string Text(string key) => Found(key, "a text").Trim();

    public int WholeNumber(string key)
    {
        const string Allowed = "a whole number";
        return int.TryParse(Found(key, Allowed), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out var number) ? number : throw Wrong(key, Allowed);
    }

    public bool Switch(string key)
    {
        const string Allowed = "on or off";
        return Found(key, Allowed).ToUpperInvariant() switch
        {
            "ON" or "TRUE" or "YES" => true,
            "OFF" or "FALSE" or "NO" => false,
            _ => throw Wrong(key, Allowed),
        };
    }

    public TimeSpan Duration(string key)
    {
        const string Allowed = "a duration such as 500ms, 2s or 1m";
        Found(key, Allowed);
        try
        {
            return _config.GetTimeSpan(key);
        }
        catch (Exception wrong) when (wrong is FormatException or OverflowException or ArgumentException)
        {
            throw Wrong(key, Allowed, wrong);
        }
    }

    /// <summary>A duration; null for off.</summary>
    public TimeSpan? DurationOrOff(string key)
    {
        const string Allowed = "a duration such as 1.5ms, or off";
        if (Found(key, Allowed).Equals("off", StringComparison.OrdinalIgnoreCase))
            return null;
        try
        {
            return _config.GetTimeSpan(key);
        }
        catch (Exception wrong) when (wrong is FormatException or OverflowException or ArgumentException)
        {
            throw Wrong(key, Allowed, wrong);
        }
    }

    /// <summary>Makes options of what was read; what they refuse is said in this section's words.</summary>
    public T Checked<T>(Func<T> make)
    {
        try
        {
            return make();
        }
        catch (OptionOutOfRangeException wrong)
        {
            throw Wrong(KeyOf(wrong.Option), wrong.Allowed, wrong);
        }
    }

    public ConfigurationException Wrong(string key, string allowed, Exception? inner = null) =>
        new($"{PathOf(key)} = {Describe(_config.GetValue(key))}: write {allowed}", inner);

    // ParkDeadline is park-deadline.
    private static string KeyOf(string option)
    {
        var key = new StringBuilder();
        foreach (var letter in option)
        {
            if (char.IsAsciiLetterUpper(letter) && key.Length > 0)
                key.Append('-');
            key.Append(char.ToLowerInvariant(letter));
        }

        return key.ToString();
    }

    private static string Describe(HoconValue? value)
    {
        if (value is null)
            return "nothing";
        if (value.IsObject())
            return "a section";
        if (value.IsArray())
            return "a list";
        var text = value.GetString();
        return string.IsNullOrEmpty(text) ? "nothing" : text.ReplaceLineEndings(" ");
    }

    private string Found(string key, string allowed) =>
        _config.GetValue(key) is { } value && value.IsString() ? value.GetString() ?? "" : throw Wrong(key, allowed);

    private string PathOf(string key) => _path.Length == 0 ? key : $"{_path}.{key}";
}
