using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Registers;

/// <summary>
/// KVM_GET_MANY_REGS and KVM_SET_MANY_REGS. Where a call that fails does not say which register failed, that is found out
/// afterwards, by calls on parts of the batch.
/// </summary>
internal sealed class ManyRegsImage : RegisterImage
{
    private readonly RegisterBatch _all;
    private readonly RegisterBatch[] _chunks;

    public ManyRegsImage(ulong[] ids)
        : base(ids)
    {
        _all = new RegisterBatch(ids);
        _chunks = [.. Enumerable.Range(0, (ids.Length + RegisterBatch.MaxRegisters - 1) / RegisterBatch.MaxRegisters)
            .Select(i => i * RegisterBatch.MaxRegisters)
            .Select(start => _all.Slice(start, Math.Min(RegisterBatch.MaxRegisters, ids.Length - start)))];
    }

    public override RegisterBatching Batching => RegisterBatching.ManyRegs;

    private protected override string SetRequest => "KVM_SET_MANY_REGS";

    public override Span<byte> ValueOf(int index) => _all.ValueOf(index);

    public override void Read(IVcpu vcpu)
    {
        for (var i = 0; i < _chunks.Length; i++)
        {
            var errno = vcpu.GetManyRegs(_chunks[i]);
            if (errno != 0 && FirstFailing(_chunks[i], vcpu.GetManyRegs) is { } failing)
                throw CouldNotRead("KVM_GET_MANY_REGS", errno, vcpu, (i * RegisterBatch.MaxRegisters) + failing);
        }
    }

    public override IReadOnlyList<RefusedRegister> Write(IVcpu vcpu)
    {
        var refused = new List<RefusedRegister>();
        for (var i = 0; i < _chunks.Length; i++)
        {
            var start = i * RegisterBatch.MaxRegisters;
            var rest = _chunks[i];
            while (rest.Count > 0 && vcpu.SetManyRegs(rest) is var errno and not 0)
            {
                // Setting the same values again is harmless: the vCPU has not run.
                if (FirstFailing(rest, vcpu.SetManyRegs) is not { } failing)
                    break;
                refused.Add(new RefusedRegister(start + failing, errno));
                start += failing + 1;
                rest = rest.Slice(failing + 1, rest.Count - failing - 1);
            }
        }

        return refused;
    }

    // A call goes through the registers in order and stops at the first that fails, so a beginning of the batch fails exactly
    // when it holds that register. Null where the parts succeed though the whole did not, as when the kernel had no memory: then
    // every register was read or written by them.
    private static int? FirstFailing(RegisterBatch batch, Func<RegisterBatch, int> call)
    {
        if (batch.Done is { } done and > 0)
            return done;
        var known = 0;
        do
        {
            var failing = batch.Count;
            while (failing - known > 1)
            {
                var middle = (known + failing) / 2;
                if (call(batch.Slice(known, middle - known)) == 0)
                    known = middle;
                else
                    failing = middle;
            }

            if (call(batch.Slice(known, 1)) != 0)
                return known;
            // Where a part had failed too, nobody has asked for what lies behind it.
            known++;
        }
        while (known < batch.Count && call(batch.Slice(known, batch.Count - known)) != 0);
        return null;
    }
}
