using Checkpoint.Kvm.Memory;

namespace Checkpoint.Kvm.Tests.Contracts;

/// <summary>Memory from address 0 on as an array that a machine is filled from, with a unit that cannot be read and reads that can be held up.</summary>
internal sealed class StoredPages(byte[] bytes) : IPageSource
{
    private int _reads;

    /// <summary>An address in the unit that cannot be read; null where all can.</summary>
    public ulong? Damaged { get; init; }

    /// <summary>What every read waits for, when it has begun; null where none waits.</summary>
    public ManualResetEventSlim? Gate { get; init; }

    public ManualResetEventSlim HasBegun { get; } = new();

    public int Reads => _reads;

    public bool IsDisposed { get; private set; }

    public bool HasData(ulong guestAddress, ulong length) => bytes.AsSpan((int)guestAddress, (int)length).ContainsAnyExcept((byte)0);

    public void Read(ulong guestAddress, Span<byte> destination)
    {
        Interlocked.Increment(ref _reads);
        HasBegun.Set();
        Gate?.Wait();
        Assert.False(IsDisposed, "Read after it was closed.");
        bytes.AsSpan((int)guestAddress, destination.Length).CopyTo(destination);
        // The bytes are there by now, as those of a page whose checksum is wrong are.
        if (Damaged - guestAddress < (ulong)destination.Length)
            throw new InvalidDataException($"the page at 0x{Damaged:x} is damaged");
    }

    public void Dispose()
    {
        Assert.False(IsDisposed, "Closed twice.");
        IsDisposed = true;
    }
}
