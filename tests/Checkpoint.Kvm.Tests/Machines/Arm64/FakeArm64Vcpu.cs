using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Registers;

namespace Checkpoint.Kvm.Tests.Machines.Arm64;

/// <summary>A vCPU of <see cref="FakeArm64Kvm"/>: registers by id, nothing that runs.</summary>
internal sealed class FakeArm64Vcpu(FakeArm64Kvm kvm, int index) : IVcpu
{
    private const byte SveFeature = 1 << 4;

    private readonly Dictionary<ulong, byte[]> _values = [];
    private readonly byte[] _events = new byte[64];
    private readonly byte[] _mpState = new byte[4];
    private bool _isInitialised;
    private bool _hasSve;
    private bool _isFinalized;

    public int Index => index;

    public bool ImmediateExit { get; set; }

    public int CheckExtension(uint capability) => kvm.CheckExtension(capability);

    public void Get(KvmRequest request, Span<byte> argument) => Group(request).CopyTo(argument);

    public void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        if (request == KvmRequests.ArmVcpuInit)
        {
            Assert.Equal(0, argument[4] & 1); // POWER_OFF
            (_isInitialised, _hasSve) = (true, (argument[4] & SveFeature) != 0);
            Put("MIDR_EL1", kvm.Midr);
            _values[Arm64Registers.SveLengths] = [kvm.VectorLengths, .. new byte[63]];
            kvm.Calls.Add($"{index} INIT");
        }
        else if (request == KvmRequests.ArmVcpuFinalize)
        {
            Assert.True(_isInitialised && argument.SequenceEqual((ReadOnlySpan<byte>)[4, 0, 0, 0]));
            _isFinalized = true;
            kvm.Calls.Add($"{index} FINALIZE");
        }
        else
        {
            argument.CopyTo(Group(request));
            kvm.Calls.Add($"{index} {request.Name}");
        }
    }

    public long Call(KvmRequest request, ulong argument) => throw new NotSupportedException();

    public int GetMsrs(Span<byte> msrs) => throw new NotSupportedException();

    public int SetMsrs(ReadOnlySpan<byte> msrs) => throw new NotSupportedException();

    public ReadOnlyMemory<byte> GetCpuid() => throw new NotSupportedException();

    public void SetCpuid(ReadOnlySpan<byte> entries) => throw new NotSupportedException();

    public ulong[] GetRegList()
    {
        Throw("KVM_GET_REG_LIST", !_isInitialised ? Errno.ENOEXEC : _hasSve && !_isFinalized ? Errno.EPERM : 0, null);
        return
        [
            .. kvm.Listed.Where(id => !_hasSve || id < Arm64Registers.V(0) || id > Arm64Registers.V(31)).Reverse(),
            .. _hasSve ? Arm64Registers.SveRegisters.Select(each => each.Id) : [],
        ];
    }

    public void GetOneReg(ulong id, Span<byte> value)
    {
        Throw("KVM_GET_ONE_REG", _isInitialised ? 0 : Errno.ENOEXEC, id);
        if (_values.TryGetValue(id, out var known))
            known.CopyTo(value);
        else
            value.Clear();
    }

    public void SetOneReg(ulong id, ReadOnlySpan<byte> value)
    {
        var errno = (id == Arm64Registers.SveLengths && _isFinalized) ? Errno.EPERM : kvm.Refused.GetValueOrDefault(id);
        var isOther = Arm64SystemRegisters.IsInvariant(id) && !value.SequenceEqual(_values.GetValueOrDefault(id, new byte[value.Length]));
        Throw("KVM_SET_ONE_REG", errno == 0 && isOther ? Errno.EINVAL : errno, id);
        _values[id] = value.ToArray();
        kvm.Calls.Add($"{index} {RegisterNames.NameOf(id)}");
    }

    public int GetManyRegs(RegisterBatch batch) => Many(batch, i => GetOneReg(batch.Ids[i], batch.ValueOf(i)));

    public bool HasAttribute(uint group, ulong attribute) => false;

    public ulong GetAttribute(uint group, ulong attribute) => throw new NotSupportedException();

    public void SetAttribute(uint group, ulong attribute, ulong value) => throw new NotSupportedException();

    public bool TryGetSyncRegs(Span<byte> regs, Span<byte> sregs, Span<byte> events) => false;

    public int SetManyRegs(RegisterBatch batch) => Many(batch, i => SetOneReg(batch.Ids[i], batch.ValueOf(i)));

    public void BindToCurrentThread()
    {
    }

    public void Unbind()
    {
    }

    public VcpuExit Run() => throw new NotSupportedException();

    public void Kick()
    {
    }

    public void Dispose() => kvm.Open.Remove($"vcpu {index}");

    public void Put(string name, ulong value) => _values[Arm64SystemRegisters.IdOf(name)] = BitConverter.GetBytes(value);

    private int Many(RegisterBatch batch, Action<int> each)
    {
        if (!kvm.HasManyRegs)
            return Errno.EINVAL;
        try
        {
            for (var i = 0; i < batch.Count; i++)
                each(i);
            return 0;
        }
        catch (KvmException refused)
        {
            return refused.Errno;
        }
    }

    private byte[] Group(KvmRequest request) =>
        request == KvmRequests.GetVcpuEvents || request == KvmRequests.SetVcpuEvents ? _events
        : request == KvmRequests.GetMpState || request == KvmRequests.SetMpState ? _mpState
        : throw new KvmException(request.Name, Errno.EINVAL, index);

    private void Throw(string request, int errno, ulong? id)
    {
        if (errno != 0)
            throw new KvmException(request, errno, index, id is { } known ? RegisterNames.Describe(known) : null);
    }
}
