using Checkpoint.AlterCheckpoint;
using Checkpoint.Protocol.History;
using Checkpoint.Storage;

const string Usage = """
    Usage: tests/alter-checkpoint [--store URI] REF --as NAME ALTERATION...
    Copies a stored checkpoint under a new machine's name, with values altered; the copy is undamaged and 'checkpoint verify' says so.
      --set vcpu0.cr4=0x80000620           a register by its name: rip, xcr0, mxcsr, IA32_LSTAR, TCR_EL1
      --msr vcpu0.0x4b564d99=0             an MSR by its number; added where the checkpoint has none
      --cpuid vcpu0.7.0.ebx.avx512f=1      a feature, or a number such as 80000008.eax.physical_address_bits
      --drop vcpu0.LAPIC                   a register or struct that the copy has not
    """;

if (args is ["--help" or "-h"])
{
    Console.WriteLine(Usage);
    return 0;
}

string? store = Environment.GetEnvironmentVariable("CHECKPOINT_STORE"), name = null, reference = null;
var alterations = new List<Alteration>();
try
{
    for (var i = 0; i < args.Length; i++)
    {
        if (args[i] is "--store" or "--as" or "--set" or "--msr" or "--cpuid" or "--drop" && i == args.Length - 1)
            throw new FormatException($"{args[i]} needs a value");
        switch (args[i])
        {
            case "--store": store = args[++i]; break;
            case "--as": name = args[++i]; break;
            case "--set" or "--msr" or "--cpuid" or "--drop": alterations.Add(Alteration.Parse(args[i], args[++i])); break;
            case var other when reference is null && !other.StartsWith('-'): reference = other; break;
            default: throw new FormatException($"'{args[i]}' means nothing here");
        }
    }

    if (reference is null || name is null || alterations.Count == 0 || !CheckpointReference.TryParse(reference, out var parsed, out _))
        throw new FormatException("a reference, --as and an alteration are needed");
    await using var opened = CheckpointStore.Open(new StoreOptions(store), TimeProvider.System);
    await StoredAlteration.CopyAsync(opened, parsed, name, document => alterations.Aggregate(document, (altered, each) => each.Apply(altered)));
    Console.WriteLine($"{name}@1 is {reference} with {string.Join(", ", alterations)}");
    return 0;
}
catch (Exception failure) when (failure is FormatException or ArgumentException)
{
    await Console.Error.WriteLineAsync($"alter-checkpoint: {failure.Message}\n{Usage}");
    return 2;
}
catch (Exception failure) when (failure is StoreException or IntegrityException)
{
    await Console.Error.WriteLineAsync($"alter-checkpoint: {failure.Message}");
    return 1;
}
