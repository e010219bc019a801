using System.Runtime.CompilerServices;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>A test that needs GNU as and objcopy for x86-64 and the repository's sources; elsewhere it is reported as skipped.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class AssemblerFactAttribute : FactAttribute
{
    public AssemblerFactAttribute()
    {
        if (System.Runtime.InteropServices.RuntimeInformation.OSArchitecture != System.Runtime.InteropServices.Architecture.X64)
        {
            Skip = "The assembler of this host is not one for x86-64.";
        }
        else if (!IsOnPath("as") || !IsOnPath("objcopy"))
        {
            Skip = "GNU as and objcopy (binutils) are not installed.";
        }
        else if (!Directory.Exists(SourceFolder))
        {
            Skip = $"The sources of the guests are not at {SourceFolder}.";
        }
    }

    /// <summary>Where counter.S and ledger.S are.</summary>
    public static string SourceFolder { get; } = FindSources();

    private static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? string.Empty)
            .Split(Path.PathSeparator)
            .Any(folder => File.Exists(Path.Combine(folder, program)));

    private static string FindSources([CallerFilePath] string thisFile = "") =>
        Path.GetFullPath(Path.Combine(
            Path.GetDirectoryName(thisFile) ?? string.Empty, "..", "..", "..", "src", "Checkpoint.Kvm", "Guests"));
}
