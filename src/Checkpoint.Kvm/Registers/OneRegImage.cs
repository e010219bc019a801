using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Registers;

/// <summary>One call for each register: what every kernel with ONE_REG has.</summary>
internal sealed class OneRegImage(ulong[] ids) : RegisterImage(ids)
{
    private readonly RegisterBatch _values = new(ids);

    public override RegisterBatching Batching => RegisterBatching.OneReg;

    private protected override string SetRequest => "KVM_SET_ONE_REG";

    public override Span<byte> ValueOf(int index) => _values.ValueOf(index);

    public override void Read(IVcpu vcpu)
    {
        for (var i = 0; i < _values.Count; i++)
        {
            try
            {
                vcpu.GetOneReg(_values.Ids[i], _values.ValueOf(i));
            }
            catch (KvmException refused)
            {
                throw CouldNotRead("KVM_GET_ONE_REG", refused.Errno, vcpu, i);
            }
        }
    }

    public override IReadOnlyList<RefusedRegister> Write(IVcpu vcpu)
    {
        var refused = new List<RefusedRegister>();
        for (var i = 0; i < _values.Count; i++)
        {
            try
            {
                vcpu.SetOneReg(_values.Ids[i], _values.ValueOf(i));
            }
            catch (KvmException failure)
            {
                refused.Add(new RefusedRegister(i, failure.Errno));
            }
        }

        return refused;
    }
}
