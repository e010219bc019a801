using System.Collections.Immutable;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;
using Checkpoint.Kvm.Memory;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// Memory that comes in through a userfaultfd. A unit is read into a buffer of its own, checked there, and moved into place as one huge
/// page: nobody sees it before. A thread answers the faults of vCPUs and of the kernel on their behalf.
/// </summary>
/// <remarks>
/// How a failure ends the vCPUs that wait: a kick first, whose signal stays pending; then what is missing is forbidden (PROT_NONE) and
/// the waiting end. What KVM asks for the guest fails with EFAULT; where that was a walk through the guest's page tables KVM makes it a
/// page fault of the guest, which the pending signal keeps from being delivered. KVM_RUN is not entered again.
/// </remarks>
internal sealed class UserfaultFilling : MemoryFilling
{
    // Each stretch of registered memory splits a mapping; a process may have 65530 (vm.max_map_count).
    private const int MaxStretches = 1024;
    private const int MessagesAtOnce = 16;
    private const ulong PageBytes = 4096;

    private readonly ImmutableArray<LinuxGuestMemory.Slot> _slots;
    private readonly VmFailure _vcpus;
    private readonly Userfaultfd _userfaultfd;
    private readonly StopEvent _stop = new();
    private readonly Stack<Mapping> _buffers = [];
    private readonly List<(ulong Address, ulong Length)> _registered = [];
    private readonly Thread _faults;

    /// <param name="memory">The memory.</param>
    /// <param name="vcpus">Told when memory does not come.</param>
    /// <param name="userfaultfd">Disposed of by this object.</param>
    /// <param name="source">Where the content is.</param>
    internal UserfaultFilling(LinuxGuestMemory memory, VmFailure vcpus, Userfaultfd userfaultfd, IPageSource source)
        : base(memory.Regions, source)
    {
        _slots = memory.Slots;
        _vcpus = vcpus;
        _userfaultfd = userfaultfd;
        _faults = new Thread(AnswerFaults) { IsBackground = true, Name = "memory faults" };
        var held = false;
        foreach (var slot in _slots)
            slot.Mapping.DangerousAddRef(ref held);
        try
        {
            Register();
        }
        catch
        {
            ReleaseAll();
            throw;
        }

        _faults.Start();
        Begin();
    }

    /// <summary>
    /// Where all memory is there: returns when the userfaultfd is closed, which its thread does a moment later. Until then no other one can have the memory.
    /// </summary>
    internal void WaitUntilClosed()
    {
        if (IsComplete && Thread.CurrentThread != _faults)
            _faults.Join();
    }

    private protected override void Place(int region, ulong guestAddress, int length)
    {
        var buffer = RentBuffer();
        try
        {
            Read(buffer, guestAddress, length);
            var (to, from) = (HostAddress(region, guestAddress), AddressOf(buffer));
            if (!_userfaultfd.CanMove || length != UnitBytes || !_userfaultfd.TryMove(to, from, UnitBytes))
                _userfaultfd.Copy(to, from, (ulong)length);
        }
        finally
        {
            lock (_buffers)
                _buffers.Push(buffer);
        }
    }

    private protected override void Stop(GuestMemoryException failure)
    {
        _vcpus.Fail(failure);
        foreach (var (region, guestAddress, length) in MissingRanges())
        {
            var address = HostAddress(region, guestAddress);
            // Where the kernel has no room for more mappings the vCPUs are stopped by their kicks alone.
            _ = Libc.mprotect((nint)address, (nuint)length, Libc.PROT_NONE);
            _userfaultfd.Wake(address, length);
        }
    }

    private protected override void OnComplete() => _stop.Set();

    private protected override void Release()
    {
        _stop.Set();
        _faults.Join();
        ReleaseAll();
    }

    private void ReleaseAll()
    {
        Close();
        _stop.Dispose();
        foreach (var slot in _slots)
            slot.Mapping.DangerousRelease();
    }

    // The buffer belongs to the calling thread until it is given back, and has room for a unit.
    private unsafe void Read(Mapping buffer, ulong guestAddress, int length) => ReadSource(guestAddress, new Span<byte>(buffer.Address, length));

    private static unsafe ulong AddressOf(Mapping buffer) => (ulong)buffer.Address;

    private ulong HostAddress(int region, ulong guestAddress) => _slots[region].HostAddress + (guestAddress - Regions[region].GuestAddress);

    private Mapping RentBuffer()
    {
        lock (_buffers)
        {
            if (_buffers.TryPop(out var buffer))
                return buffer;
        }

        return Mapping.OfZeros(UnitBytes, guestAddress: 0);
    }

    // Memory that is all zeros stays the kernel's to give.
    private void Register()
    {
        var stretches = MissingRanges().ToList();
        if (stretches.Count > MaxStretches)
            stretches = [.. Regions.Select((region, i) => (i, region.GuestAddress, region.SizeBytes))];
        foreach (var (region, guestAddress, length) in stretches)
        {
            var address = HostAddress(region, guestAddress);
            _userfaultfd.Register(address, length);
            _registered.Add((address, length));
        }
    }

    private void AnswerFaults()
    {
        Span<uffd_msg> messages = stackalloc uffd_msg[MessagesAtOnce];
        while (_stop.WaitFor(_userfaultfd.Fd))
        {
            var count = _userfaultfd.Read(messages);
            foreach (var message in messages[..count])
                Answer(message.pagefault_address & ~(PageBytes - 1));
        }

        if (IsComplete)
            Close();
    }

    private void Answer(ulong address)
    {
        for (var region = 0; region < _slots.Length; region++)
        {
            var offset = address - _slots[region].HostAddress;
            if (offset >= Regions[region].SizeBytes)
                continue;
            var guestAddress = Regions[region].GuestAddress + offset;
            // It came before this message was read; or somebody discarded the page since (MADV_DONTNEED), and then it is zero.
            if (IsThereAt(region, guestAddress))
                _userfaultfd.ZeroPage(address, PageBytes);
            else
                Bring(region, guestAddress, address);
            return;
        }
    }

    private void Bring(int region, ulong guestAddress, ulong address)
    {
        try
        {
            BringAt(region, guestAddress);
        }
        catch (GuestMemoryException)
        {
            // What is missing is forbidden by now: who waits here finds that out.
            _userfaultfd.Wake(address, PageBytes);
        }
    }

    private void Close()
    {
        // The file may outlive its closing: a process that is just being started has it, too, until it runs its own program.
        foreach (var (address, length) in _registered)
            _userfaultfd.Unregister(address, length);
        _registered.Clear();
        _userfaultfd.Dispose();
        lock (_buffers)
        {
            while (_buffers.TryPop(out var buffer))
                buffer.Dispose();
        }
    }
}
