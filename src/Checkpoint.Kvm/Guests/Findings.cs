namespace Checkpoint.Kvm.Guests;

/// <summary>Collects the failures of one vCPU as sentences.</summary>
internal sealed class Findings(int vcpu, List<string> failures)
{
    public int Vcpu => vcpu;

    public void Add(string failure) => failures.Add($"vCPU {vcpu}: {failure}");

    public void Equal(string what, ulong expected, ulong found)
    {
        if (expected != found)
        {
            Add($"{what} expected 0x{expected:x}, found 0x{found:x}");
        }
    }

    public void Equal(string what, ulong expected, ulong? found, string otherwise)
    {
        if (found is { } number)
        {
            Equal(what, expected, number);
        }
        else
        {
            Add($"{what} expected 0x{expected:x}, found {otherwise}");
        }
    }
}
