using System.Collections.Immutable;
using System.Globalization;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>A system register of a processor.</summary>
/// <param name="Id">The kernel's id.</param>
/// <param name="ResetValue">What it holds in a new vCPU.</param>
/// <param name="Writable">The bits that the kernel lets be turned one at a time: none for a register that can't be changed.</param>
/// <param name="IsPlain">Whether it holds what is written to it: others set or clear bits of a register that they share.</param>
public readonly record struct Arm64ProcessorRegister(ulong Id, ulong ResetValue, ulong Writable, bool IsPlain)
{
    /// <summary>Whether it counts by itself, so that its value means nothing.</summary>
    public bool GoesOn => Id == Arm64SystemRegisters.IdOf("CNTVCT_EL0") || Id == Arm64SystemRegisters.IdOf("CNTPCT_EL0");
}

/// <summary>
/// What a vCPU of one processor lists, with everything that the processor offers. The files were written by a program of this
/// repository, which asked the KVM of an emulated machine.
/// </summary>
public sealed class Arm64Processor
{
    private Arm64Processor(string name, uint features, int vectorLengths, ImmutableArray<ulong> listed, ImmutableArray<Arm64ProcessorRegister> registers)
    {
        Name = name;
        Features = features;
        SveVectorLengths = vectorLengths;
        Listed = listed;
        SystemRegisters = registers;
    }

    /// <summary>The processors that there are.</summary>
    public static ImmutableArray<string> Names { get; } = ["cortex-a57", "neoverse-n1", "a64fx", "max"];

    /// <summary>The emulator's name of the processor.</summary>
    public string Name { get; }

    /// <summary>The first word of features of struct kvm_vcpu_init.</summary>
    public uint Features { get; }

    /// <summary>The longest SVE vector in units of 128 bits; 0 without SVE.</summary>
    public int SveVectorLengths { get; }

    /// <summary>All ids that KVM_GET_REG_LIST gives.</summary>
    public ImmutableArray<ulong> Listed { get; }

    /// <summary>The system registers among them.</summary>
    public ImmutableArray<Arm64ProcessorRegister> SystemRegisters { get; }

    /// <summary>One of <see cref="Names"/>.</summary>
    public static Arm64Processor Of(string name)
    {
        using var stream = typeof(Arm64Processor).Assembly.GetManifestResourceStream($"processors.{name}.txt")
            ?? throw new ArgumentException($"There is no processor {name}: one of {string.Join(", ", Names)}.", nameof(name));
        using var reader = new StreamReader(stream);
        var (features, vectors) = (0u, 0);
        var listed = ImmutableArray.CreateBuilder<ulong>();
        var registers = ImmutableArray.CreateBuilder<Arm64ProcessorRegister>();
        while (reader.ReadLine() is { } line)
        {
            var words = line.Split(' ');
            if (words[0] == "#")
                continue;
            if (words[0] == "features")
            {
                (features, vectors) = (uint.Parse(words[1], CultureInfo.InvariantCulture), int.Parse(words[3], CultureInfo.InvariantCulture));
                continue;
            }

            listed.Add(Hex(words[0]));
            if (words.Length > 1)
                registers.Add(new Arm64ProcessorRegister(Hex(words[0]), Hex(words[1]), words[2] == "-" ? ulong.MaxValue : Hex(words[2]), words[2] != "-"));
        }

        return new Arm64Processor(name, features, vectors, listed.ToImmutable(), registers.ToImmutable());
    }

    private static ulong Hex(string word) => ulong.Parse(word, NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture);
}
