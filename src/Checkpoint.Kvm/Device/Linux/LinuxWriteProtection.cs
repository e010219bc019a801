using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// Write protection through a userfaultfd. A thread answers the writes of vCPUs and of the kernel on their behalf; the host's own writes ask
/// before they write (<see cref="BeforeWrite"/>), because a managed thread that waits inside a page fault would keep a garbage collection
/// waiting, and with it the thread that could end the fault.
/// </summary>
internal sealed class LinuxWriteProtection : IWriteProtection
{
    private const int MessagesAtOnce = 16;
    private const ulong PageBytes = 4096;

    private readonly ImmutableArray<LinuxGuestMemory.Slot> _slots;
    private readonly Action<ulong> _onWrite;
    private readonly Action _onDisposed;
    private readonly WriteFaultFd _fd;
    private readonly StopEvent _stop = new();
    private readonly Thread _faults;
    private readonly Lock _gate = new();
    private bool _isDisposed;
    private bool _isClosed;

    private LinuxWriteProtection(ImmutableArray<LinuxGuestMemory.Slot> slots, Action<ulong> onWrite, Action onDisposed, WriteFaultFd fd)
    {
        (_slots, _onWrite, _onDisposed, _fd) = (slots, onWrite, onDisposed, fd);
        _faults = new Thread(AnswerFaults) { IsBackground = true, Name = "memory writes" };
    }

    internal static bool TryOpen(
        ImmutableArray<LinuxGuestMemory.Slot> slots,
        Action<ulong> onWrite,
        Action onDisposed,
        [NotNullWhen(true)] out LinuxWriteProtection? protection,
        [NotNullWhen(false)] out string? obstacle)
    {
        protection = null;
        if (!WriteFaultFd.TryOpen(out var fd, out obstacle))
            return false;
        var held = false;
        foreach (var slot in slots)
            slot.Mapping.DangerousAddRef(ref held);
        var opened = new LinuxWriteProtection(slots, onWrite, onDisposed, fd);
        for (var i = 0; i < slots.Length; i++)
        {
            var errno = fd.TryRegister(slots[i].HostAddress, slots[i].Region.SizeBytes);
            if (errno == 0)
                continue;
            opened.Close(registered: i);
            obstacle = $"the memory cannot be protected against writes (UFFDIO_REGISTER: {Errno.NameOf(errno)})";
            return false;
        }

        opened._faults.Start();
        protection = opened;
        return true;
    }

    public void Protect(ulong guestAddress, ulong length) => _fd.Protect(HostAddress(guestAddress, length), length);

    public void Unprotect(ulong guestAddress, ulong length)
    {
        // A writer may have asked before this was disposed of, and come to this after it.
        lock (_gate)
        {
            if (!_isClosed)
                _fd.Unprotect(HostAddress(guestAddress, length), length);
        }
    }

    /// <summary>The host is about to write a range.</summary>
    internal void BeforeWrite(ulong guestAddress, ulong length)
    {
        var end = guestAddress + length;
        for (var at = guestAddress; at < end; at = (at | (IWriteProtection.UnitBytes - 1)) + 1)
            _onWrite(at);
    }

    public void Dispose()
    {
        if (_isDisposed)
            return;
        _isDisposed = true;
        _onDisposed();
        _stop.Set();
        _faults.Join();
        Close(_slots.Length);
    }

    // Only what is registered here: older kernels let one userfaultfd take the memory away from another.
    private void Close(int registered)
    {
        lock (_gate)
            _isClosed = true;
        foreach (var slot in _slots.Take(registered))
            _fd.Unregister(slot.HostAddress, slot.Region.SizeBytes);
        _fd.Dispose();
        _stop.Dispose();
        foreach (var slot in _slots)
            slot.Mapping.DangerousRelease();
    }

    private ulong HostAddress(ulong guestAddress, ulong length)
    {
        foreach (var slot in _slots)
        {
            var offset = guestAddress - slot.Region.GuestAddress;
            if (offset < slot.Region.SizeBytes && length <= slot.Region.SizeBytes - offset)
                return slot.HostAddress + offset;
        }

        throw new ArgumentOutOfRangeException(nameof(guestAddress));
    }

    private void AnswerFaults()
    {
        Span<uffd_msg> messages = stackalloc uffd_msg[MessagesAtOnce];
        while (_stop.WaitFor(_fd.Fd))
        {
            var count = _fd.Read(messages);
            foreach (var message in messages[..count])
            {
                try
                {
                    Answer(message.pagefault_address & ~(PageBytes - 1));
                }
                catch (KvmException)
                {
                    // Whoever takes the copies hears of it, and ends the protection: the writer waits until then.
                }
            }
        }
    }

    private void Answer(ulong address)
    {
        foreach (var slot in _slots)
        {
            var offset = address - slot.HostAddress;
            if (offset < slot.Region.SizeBytes)
                _onWrite(slot.Region.GuestAddress + offset);
        }
    }
}
