namespace Checkpoint.Kvm.Memory;

/// <summary>
/// Where the content of memory comes from that is not there yet. Calls come from several threads at once. Disposed of when all
/// memory is there, or will not come any more.
/// </summary>
public interface IPageSource : IDisposable
{
    /// <summary>Whether a range holds anything but zeros, as far as that is known without reading it.</summary>
    /// <param name="guestAddress">Guest physical address, a multiple of 4096.</param>
    /// <param name="length">Bytes, a multiple of 4096.</param>
    bool HasData(ulong guestAddress, ulong length);

    /// <summary>Reads whole pages, every one checked.</summary>
    /// <param name="guestAddress">Guest physical address, a multiple of 4096.</param>
    /// <param name="destination">Takes the range, all of it: zeros are written too.</param>
    /// <exception cref="Exception">A page is not what was stored, or cannot be read; what the destination holds then is not to be used.</exception>
    void Read(ulong guestAddress, Span<byte> destination);
}
