using Checkpoint.Protocol.Faults;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>Write protection that cannot always be set, or taken away. Its end always lets everybody go on, as the closing of a userfaultfd does.</summary>
internal sealed class FaultyWriteProtection(IWriteProtection inner, FaultGate gate) : IWriteProtection
{
    public void Protect(ulong guestAddress, ulong length)
    {
        gate.Pass(FaultCalls.WriteProtect);
        inner.Protect(guestAddress, length);
    }

    public void Unprotect(ulong guestAddress, ulong length)
    {
        gate.Pass(FaultCalls.WriteProtect);
        inner.Unprotect(guestAddress, length);
    }

    public void Dispose() => inner.Dispose();
}
