using System.Buffers;
using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.Faults;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Faults;

/// <summary>Guest memory that the host cannot always read or write.</summary>
internal sealed class FaultyMemory(IGuestMemory inner, FaultGate gate) : IGuestMemory
{
    public ImmutableArray<MemoryRegion> Regions => inner.Regions;

    public bool IsAdopted => inner.IsAdopted;

    public WrittenPages? Written
    {
        get => inner.Written;
        set => inner.Written = value;
    }

    public MemoryFilling? Filling => inner.Filling;

    public bool PrefersLazyFill => inner.PrefersLazyFill;

    public bool TryFillLazily(IPageSource source, [NotNullWhen(false)] out string? obstacle) =>
        IsOpened(out obstacle) && inner.TryFillLazily(source, out obstacle);

    public bool TryProtectWrites(
        Action<ulong> onWrite, [NotNullWhen(true)] out IWriteProtection? protection, [NotNullWhen(false)] out string? obstacle)
    {
        protection = null;
        if (!IsOpened(out obstacle) || !inner.TryProtectWrites(onWrite, out var opened, out obstacle))
            return false;
        protection = new FaultyWriteProtection(opened, gate);
        return true;
    }

    public void Read(ulong guestAddress, Span<byte> destination)
    {
        gate.Pass(FaultCalls.MemoryRead);
        inner.Read(guestAddress, destination);
    }

    public void Write(ulong guestAddress, ReadOnlySpan<byte> source)
    {
        gate.Pass(FaultCalls.MemoryWrite);
        inner.Write(guestAddress, source);
    }

    public void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write)
    {
        gate.Pass(FaultCalls.MemoryWrite);
        inner.Fill(guestAddress, length, state, write);
    }

    public void Dispose() => inner.Dispose();

    private bool IsOpened([NotNullWhen(false)] out string? obstacle)
    {
        obstacle = null;
        try
        {
            gate.Pass(FaultCalls.Userfaultfd);
        }
        catch (KvmException refused)
        {
            obstacle = refused.Message;
        }

        return obstacle is null;
    }
}
