using System.Runtime.CompilerServices;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

/// <summary>A test that needs GNU as and objcopy for x86-64, or with a prefix for another processor, and the repository's sources; elsewhere it is reported as skipped.</summary>
[AttributeUsage(AttributeTargets.Method)]
public sealed class AssemblerFactAttribute : FactAttribute
{
    /// <summary>What the names of the programs for AArch64 begin with (the package binutils-aarch64-linux-gnu).</summary>
    public const string Arm64Prefix = "aarch64-linux-gnu-";

    public AssemblerFactAttribute(string prefix = "")
    {
        Prefix = prefix;
        if (prefix.Length == 0 && System.Runtime.InteropServices.RuntimeInformation.OSArchitecture != System.Runtime.InteropServices.Architecture.X64)
        {
            Skip = "The assembler of this host is not one for x86-64.";
        }
        else if (!IsOnPath(prefix + "as") || !IsOnPath(prefix + "objcopy"))
        {
            Skip = $"GNU {prefix}as and {prefix}objcopy (binutils) are not installed.";
        }
        else if (!Directory.Exists(SourceFolder))
        {
            Skip = $"The sources of the guests are not at {SourceFolder}.";
        }
    }

    /// <summary>What the names of the programs begin with.</summary>
    public string Prefix { get; }

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
