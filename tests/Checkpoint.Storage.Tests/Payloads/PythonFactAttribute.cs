using System.Diagnostics;

namespace Checkpoint.Storage.Tests.Payloads;

/// <summary>A test that needs a decoder of another language: python3 with its msgpack module.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class PythonFactAttribute : FactAttribute
{
    private static readonly string? _python = Find();

    public PythonFactAttribute()
    {
        if (_python is null)
            Skip = "There is no python3 with the module msgpack (Debian: python3-msgpack).";
    }

    internal static string Python => _python!;

    internal static (int Code, string Output) Run(string python, string script, string input)
    {
        var start = new ProcessStartInfo(python) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(script);
        using var process = Process.Start(start)!;
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return (process.ExitCode, output + errors.Result);
    }

    private static string? Find() => Array.Find(["/usr/bin/python3", "python3"], HasModule);

    private static bool HasModule(string python)
    {
        try
        {
            return Run(python, "import msgpack", "").Code == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }
}
