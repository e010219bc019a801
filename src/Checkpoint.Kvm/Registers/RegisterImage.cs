using Checkpoint.Kvm.Device;

namespace Checkpoint.Kvm.Registers;

/// <summary>A register that a vCPU did not take.</summary>
/// <param name="Index">Its place in the image.</param>
/// <param name="Errno">The error number.</param>
public readonly record struct RefusedRegister(int Index, int Errno);

/// <summary>
/// The values of a fixed list of registers, in memory that does not move, and the way in which they travel. Made once;
/// <see cref="Read"/> allocates nothing.
/// </summary>
public abstract class RegisterImage
{
    private protected RegisterImage(ulong[] ids) => Ids = ids;

    /// <summary>The registers' ids, in the order in which they are read and written.</summary>
    public IReadOnlyList<ulong> Ids { get; }

    /// <summary>How they travel.</summary>
    public abstract RegisterBatching Batching { get; }

    /// <summary>Makes an image.</summary>
    /// <param name="batching">How the registers travel; msrs takes ids of x86 MSRs only.</param>
    /// <param name="ids">The registers' ids, in the order in which they are to be written.</param>
    public static RegisterImage Create(RegisterBatching batching, IEnumerable<ulong> ids) => batching switch
    {
        RegisterBatching.ManyRegs => new ManyRegsImage([.. ids]),
        RegisterBatching.Msrs => new MsrsImage([.. ids]),
        RegisterBatching.OneReg => new OneRegImage([.. ids]),
        _ => throw new ArgumentOutOfRangeException(nameof(batching), batching, "There is no such way."),
    };

    /// <summary>The value of one register.</summary>
    public abstract Span<byte> ValueOf(int index);

    /// <summary>Reads all registers.</summary>
    /// <exception cref="KvmException">One could not be read; the exception names it.</exception>
    public abstract void Read(IVcpu vcpu);

    /// <summary>Writes all registers in order, going on past those that are refused.</summary>
    /// <returns>Those that were refused, in order.</returns>
    public abstract IReadOnlyList<RefusedRegister> Write(IVcpu vcpu);

    /// <summary>Writes all registers in order, on a vCPU where all must be taken.</summary>
    /// <exception cref="KvmException">One was refused; the exception names the first.</exception>
    public void WriteAll(IVcpu vcpu)
    {
        if (Write(vcpu) is [var first, ..] refused)
        {
            throw new KvmException(
                SetRequest, first.Errno, vcpu.Index, RegisterNames.Describe(Ids[first.Index]), $"{Ids.Count - refused.Count} of {Ids.Count} written");
        }
    }

    /// <summary>The kernel's name of the call that writes.</summary>
    private protected abstract string SetRequest { get; }

    private protected KvmException CouldNotRead(string request, int errno, IVcpu vcpu, int index) =>
        new(request, errno, vcpu.Index, RegisterNames.Describe(Ids[index]), $"{index} of {Ids.Count} read");
}
