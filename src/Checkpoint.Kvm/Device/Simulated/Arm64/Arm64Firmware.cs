using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Device.Simulated.Arm64;

/// <summary>The pseudo registers of KVM as firmware: the PSCI version, how safe the host is, which services there are.</summary>
internal sealed class Arm64Firmware
{
    private const ulong OldestPsci = 1; // 0.1, of a vCPU without KVM_ARM_VCPU_PSCI_0_2
    private const ulong NewestPsci = 0x1_0003;

    private readonly SimulatedVm _vm;
    private readonly bool _hasPsci;
    private readonly Dictionary<ulong, (ulong Value, ulong Most)> _values = [];

    public Arm64Firmware(SimulatedVm vm, bool hasPsci)
    {
        _vm = vm;
        _hasPsci = hasPsci;
        ulong[] firmware = [hasPsci ? NewestPsci : OldestPsci, 2, 3, 2]; // workarounds 1 to 3: not needed here
        ulong[] services = [1, 1, 3, 1];
        for (var i = 0; i < firmware.Length; i++)
            _values[Arm64Registers.FirmwareRegisters[i].Id] = (firmware[i], firmware[i]);
        for (var i = 0; i < (vm.Kvm.Options.Arm64.HasSecondVendorBitmap ? 4 : 3); i++)
            _values[Arm64Registers.FirmwareBitmaps[i].Id] = (services[i], services[i]);
    }

    public IEnumerable<ulong> Ids => _values.Keys;

    public int Read(ulong id, out ulong value)
    {
        var isThere = _values.TryGetValue(id, out var held);
        value = held.Value;
        return isThere ? 0 : Errno.ENOENT;
    }

    public int Write(ulong id, ulong value)
    {
        if (!_values.TryGetValue(id, out var held))
            return Errno.ENOENT;
        var errno = new RegisterId(id).Kind == RegisterKind.FirmwareBitmap ? AgainstBitmap(value, held)
            : id == Arm64Registers.FirmwareRegisters[0].Id ? AgainstPsci(value)
            : value > held.Most ? Errno.EINVAL
            : 0;
        if (errno == 0)
            _values[id] = held with { Value = value };
        return errno;
    }

    // Once the guest has seen which services there are, they stay.
    private int AgainstBitmap(ulong value, (ulong Value, ulong Most) held)
    {
        if ((value & ~held.Most) != 0)
            return Errno.EINVAL;
        return _vm.HasRun && value != held.Value ? Errno.EBUSY : 0;
    }

    private int AgainstPsci(ulong value)
    {
        var isKnown = _hasPsci ? value is 2 or (>= 0x1_0000 and <= NewestPsci) : value == OldestPsci;
        return isKnown ? 0 : Errno.EINVAL;
    }
}
