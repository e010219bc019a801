using System.Buffers.Binary;
using System.Diagnostics;
using System.Globalization;
using System.Text.RegularExpressions;
using Checkpoint.Kvm.Registers;
using Checkpoint.Kvm.Tests.Guests;

namespace Checkpoint.Kvm.Tests.Registers;

public sealed partial class Arm64SystemRegistersTests
{
    private const string Assembler = AssemblerFactAttribute.Arm64Prefix + "as";

    [AssemblerFact(AssemblerFactAttribute.Arm64Prefix)]
    public void A_name_has_the_encoding_that_the_assembler_gives_it()
    {
        // Newer registers are unknown to an older assembler: those lines are left out, and most must remain.
        var names = Arm64SystemRegisters.All.Select(each => each.Name).ToList();
        var unknown = UnknownLine().Matches(Assemble(names).Complaint).Select(match => int.Parse(match.Groups[1].Value, CultureInfo.InvariantCulture)).ToHashSet();
        var known = names.Where((_, i) => !unknown.Contains(i + 1)).ToList();
        Assert.True(known.Count > names.Count * 3 / 4, $"only {known.Count} of {names.Count} names are known to the assembler");

        var words = Assemble(known).Words;
        Assert.Equal(known.Count, words.Length);
        for (var i = 0; i < known.Count; i++)
        {
            // MRS Xt: bits 5 to 20 are op0, op1, CRn, CRm and op2 as KVM's id has them.
            var encoded = Arm64SystemRegisters.IdBase | ((words[i] >> 5) & 0x7fff) | 0x8000;
            var expected = known[i] switch
            {
                // Swapped in KVM's ABI.
                "CNTVCT_EL0" => Arm64SystemRegisters.IdOf("CNTV_CVAL_EL0"),
                "CNTV_CVAL_EL0" => Arm64SystemRegisters.IdOf("CNTVCT_EL0"),
                var name => Arm64SystemRegisters.IdOf(name),
            };
            Assert.True(expected == encoded, $"{known[i]} is {RegisterNames.NameOf(encoded)}");
        }
    }

    [Fact]
    public void The_hosts_identity_is_invariant_and_nothing_else()
    {
        string[] invariant = ["MIDR_EL1", "REVIDR_EL1", "CLIDR_EL1", "AIDR_EL1", "CTR_EL0"];
        Assert.Equal(
            invariant.Select(Arm64SystemRegisters.IdOf).Order(),
            Arm64SystemRegisters.All.Select(each => each.Id).Where(Arm64SystemRegisters.IsInvariant).Order());
    }

    [GeneratedRegex(@":(\d+): Error:")]
    private static partial Regex UnknownLine();

    private static (string Complaint, uint[] Words) Assemble(IEnumerable<string> names)
    {
        var folder = Directory.CreateTempSubdirectory("register-names");
        try
        {
            var path = Path.Combine(folder.FullName, "names");
            File.WriteAllLines(path + ".s", names.Select(name => $"mrs x0, {name.ToLowerInvariant()}"));
            var complaint = Run(Assembler, "-march=all", "-o", path + ".o", path + ".s");
            if (!File.Exists(path + ".o"))
                return (complaint, []);
            Run(AssemblerFactAttribute.Arm64Prefix + "objcopy", "-O", "binary", "-j", ".text", path + ".o", path + ".bin");
            var bytes = File.ReadAllBytes(path + ".bin");
            return (complaint, [.. bytes.Chunk(4).Select(word => BinaryPrimitives.ReadUInt32LittleEndian(word))]);
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardError = true, UseShellExecute = false })
            ?? throw new InvalidOperationException($"{program} did not start.");
        var complaint = process.StandardError.ReadToEnd();
        process.WaitForExit();
        return complaint;
    }
}
