using System.Collections.Concurrent;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Interop;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Linux;

/// <summary>
/// A VM fd. Disposing of it forbids further calls; the fd itself is closed when its last vCPU is disposed of too, and the
/// memory that it created is unmapped after that, in whatever order the three are disposed of.
/// </summary>
public sealed class VmHandle : IVm
{
    private const uint PitSpeakerDummy = 1;
    private const uint LogDirtyPages = 1;

    private readonly KvmFd _fd;
    private readonly VmFailure _failure = new();
    private volatile bool _isDisposed;
    private readonly int _vcpuMmapSizeBytes;
    private readonly Lazy<int> _xsaveBytes;
    private readonly ConcurrentDictionary<uint, LinuxGuestMemory.Slot> _slots = [];

    internal VmHandle(KvmFd fd, int vcpuMmapSizeBytes)
    {
        _fd = fd;
        _vcpuMmapSizeBytes = vcpuMmapSizeBytes;
        _xsaveBytes = new Lazy<int>(() => Math.Max(Unsafe.SizeOf<kvm_xsave>(), CheckExtension(KvmCapability.Xsave2)));
    }

    /// <summary>Takes the VM fd of a machine that the caller built. Its process must be this one: elsewhere KVM answers EIO.</summary>
    /// <param name="fd">The VM fd.</param>
    /// <param name="ownsHandle">
    /// Whether disposing closes the fd. Where it does not, the caller keeps memory that was made by <see cref="CreateMemory"/>
    /// for at least as long as the VM.
    /// </param>
    /// <param name="vcpuMmapSizeBytes">KVM_GET_VCPU_MMAP_SIZE, for a process that can no longer open /dev/kvm; null asks there.</param>
    public static VmHandle Adopt(int fd, bool ownsHandle, int? vcpuMmapSizeBytes = null)
    {
        if (vcpuMmapSizeBytes is null)
        {
            using var system = SystemHandle.Open();
            vcpuMmapSizeBytes = system.VcpuMmapSizeBytes;
        }

        return new VmHandle(KvmFd.Adopt(fd, ownsHandle), vcpuMmapSizeBytes.Value);
    }

    /// <inheritdoc/>
    public int CheckExtension(uint capability) => Ioctl.Value(_fd, KvmRequests.CheckExtension, capability);

    /// <inheritdoc/>
    public unsafe void EnableCapability(EnabledCapability capability)
    {
        ArgumentNullException.ThrowIfNull(capability);
        var argument = new kvm_enable_cap { cap = capability.Capability, flags = capability.Flags };
        if (capability.Arguments.Length > 4)
            throw new ArgumentException("KVM_ENABLE_CAP has four argument words.", nameof(capability));
        for (var i = 0; i < capability.Arguments.Length; i++)
            argument.args[i] = capability.Arguments[i];
        Ioctl.Struct(_fd, KvmRequests.EnableCap, ref argument);
    }

    /// <inheritdoc cref="IVm.CreateMemory"/>
    public LinuxGuestMemory CreateMemory(IReadOnlyList<MemoryRegion> regions)
    {
        var memory = LinuxGuestMemory.Create(regions, _failure);
        try
        {
            // A slot that was set stays set when a later one is refused: the VM holds its memory from before the call.
            foreach (var slot in memory.Slots)
            {
                _fd.Hold(slot.Mapping);
                SetMemorySlot(slot, slot.Region.Flags);
                _slots[slot.Region.Slot] = slot;
            }

            return memory;
        }
        catch
        {
            memory.Dispose();
            throw;
        }
    }

    IGuestMemory IVm.CreateMemory(IReadOnlyList<MemoryRegion> regions) => CreateMemory(regions);

    /// <summary>
    /// Takes the memory of slots that the caller has set. It stays the caller's: it must stay mapped until the result is
    /// disposed of, and disposing does not unmap it.
    /// </summary>
    /// <param name="regions">The slots, each with the address at which this process has it mapped.</param>
    public LinuxGuestMemory AdoptMemory(IReadOnlyList<AdoptedRegion> regions)
    {
        var memory = LinuxGuestMemory.Adopt(regions);
        foreach (var slot in memory.Slots)
            _slots[slot.Region.Slot] = slot;
        return memory;
    }

    /// <summary>Switches the dirty log of one slot on or off (KVM_MEM_LOG_DIRTY_PAGES).</summary>
    /// <param name="slot">The number of a slot that this VM created or adopted.</param>
    /// <param name="on">Whether writes are logged.</param>
    public void SetDirtyLogging(uint slot, bool on)
    {
        var known = SlotOf(slot);
        SetMemorySlot(known, on ? known.Region.Flags | LogDirtyPages : known.Region.Flags);
    }

    /// <summary>KVM_GET_DIRTY_LOG.</summary>
    /// <param name="slot">The number of a slot that this VM created or adopted.</param>
    /// <param name="bitmap">One bit a page for all pages of the slot, in whole words; pages are the host's.</param>
    public unsafe void GetDirtyLog(uint slot, Span<ulong> bitmap)
    {
        CheckBitmap(bitmap.Length, SlotOf(slot).Region.SizeBytes / (ulong)Environment.SystemPageSize);
        // The bitmap belongs to the caller and is pinned for the call; the kernel writes one bit a page of the slot, rounded
        // up to 64, for which room was just seen.
        fixed (ulong* pointer = bitmap)
        {
            var argument = new kvm_dirty_log { slot = slot, dirty_bitmap = (ulong)pointer };
            Ioctl.Struct(_fd, KvmRequests.GetDirtyLog, ref argument);
        }
    }

    /// <summary>KVM_CLEAR_DIRTY_LOG, with KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2.</summary>
    /// <param name="slot">The slot's number.</param>
    /// <param name="firstPage">The first page, a multiple of 64.</param>
    /// <param name="pages">How many pages: a multiple of 64, or up to the end of the slot.</param>
    /// <param name="bitmap">One bit a page from the first page on: those set are cleared and protected again.</param>
    public unsafe void ClearDirtyLog(uint slot, ulong firstPage, uint pages, ReadOnlySpan<ulong> bitmap)
    {
        CheckBitmap(bitmap.Length, pages);
        // The bitmap belongs to the caller and is pinned for the call; the kernel reads one bit a page, rounded up to 64.
        fixed (ulong* pointer = bitmap)
        {
            var argument = new kvm_clear_dirty_log
            {
                slot = slot,
                num_pages = pages,
                first_page = firstPage,
                dirty_bitmap = (ulong)pointer,
            };
            Ioctl.Struct(_fd, KvmRequests.ClearDirtyLog, ref argument);
        }
    }

    /// <inheritdoc/>
    public void SetTssAddress(ulong guestAddress) => Ioctl.Value(_fd, KvmRequests.SetTssAddress, guestAddress);

    /// <inheritdoc/>
    public void SetIdentityMapAddress(ulong guestAddress) =>
        Ioctl.Struct(_fd, KvmRequests.SetIdentityMapAddress, ref guestAddress);

    /// <inheritdoc/>
    public void CreateIrqchip() => Ioctl.Value(_fd, KvmRequests.CreateIrqchip, 0);

    /// <inheritdoc/>
    public void CreatePit()
    {
        // With port 0x61 answered in the kernel, as QEMU and Firecracker make it: guests read it to calibrate their clocks.
        var config = new kvm_pit_config { flags = PitSpeakerDummy };
        Ioctl.Struct(_fd, KvmRequests.CreatePit2, ref config);
    }

    /// <inheritdoc/>
    public unsafe void SetGsiRouting(ReadOnlySpan<byte> entries)
    {
        var entryBytes = Unsafe.SizeOf<kvm_irq_routing_entry>();
        if (entries.Length % entryBytes != 0)
            throw new ArgumentException($"Routes have {entryBytes} bytes each; {entries.Length} were given.", nameof(entries));
        var buffer = new byte[Unsafe.SizeOf<kvm_irq_routing>() + entries.Length];
        MemoryMarshal.Write(buffer, entries.Length / entryBytes);
        entries.CopyTo(buffer.AsSpan(Unsafe.SizeOf<kvm_irq_routing>()));
        // The buffer is pinned for the call; the kernel reads the header and the routes that it counts.
        fixed (byte* pointer = buffer)
            Ioctl.Pointer(_fd, KvmRequests.SetGsiRouting, pointer);
    }

    /// <inheritdoc/>
    public unsafe void Get(KvmRequest request, Span<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        // The struct belongs to the caller and is pinned for the call; the kernel touches the bytes that the code's size says.
        fixed (byte* pointer = argument)
            Ioctl.Pointer(_fd, request, pointer);
    }

    /// <inheritdoc/>
    public unsafe void Set(KvmRequest request, ReadOnlySpan<byte> argument)
    {
        StructArgument.CheckVm(request, argument.Length);
        // The struct belongs to the caller and is pinned for the call; the kernel reads the bytes that the code's size says.
        fixed (byte* pointer = argument)
            Ioctl.Pointer(_fd, request, pointer);
    }

    /// <summary>A request whose argument and result are plain numbers, such as KVM_SET_BOOT_CPU_ID.</summary>
    /// <returns>What the call returned.</returns>
    public long Call(KvmRequest request, ulong argument)
    {
        StructArgument.CheckValue(request);
        return Ioctl.Value(_fd, request, argument);
    }

    /// <inheritdoc cref="IVm.CreateDevice"/>
    public DeviceHandle CreateDevice(uint type)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var argument = new kvm_create_device { type = type };
        Ioctl.Struct(_fd, KvmRequests.CreateDevice, ref argument);
        var fd = KvmFd.Adopt((int)argument.fd, closes: true);
        fd.Hold(_fd);
        return new DeviceHandle(fd);
    }

    IKvmDevice IVm.CreateDevice(uint type) => CreateDevice(type);

    /// <inheritdoc cref="IVm.CreateVcpu"/>
    public VcpuHandle CreateVcpu(uint id, int index)
    {
        // A vCPU that still lives keeps the fd open; this object is closed all the same.
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        var fd = Ioctl.Create(_fd, KvmRequests.CreateVcpu, id, index);
        return MakeVcpu(fd, id, index, VcpuHandle.DefaultKickSignal);
    }

    IVcpu IVm.CreateVcpu(uint id, int index) => CreateVcpu(id, index);

    /// <summary>Takes the fd of a vCPU that the caller created. The vCPU maps its own view of struct kvm_run.</summary>
    /// <param name="fd">The vCPU fd.</param>
    /// <param name="id">The id that was given to KVM_CREATE_VCPU.</param>
    /// <param name="index">The vCPU's place in the machine's order, from 0.</param>
    /// <param name="ownsHandle">Whether disposing closes the fd.</param>
    /// <param name="kickSignal">
    /// The signal that ends KVM_RUN, 34 to 64: one that the process uses for nothing else.
    /// </param>
    public VcpuHandle AdoptVcpu(int fd, uint id, int index, bool ownsHandle, int kickSignal = VcpuHandle.DefaultKickSignal) =>
        MakeVcpu(KvmFd.Adopt(fd, ownsHandle), id, index, kickSignal);

    /// <inheritdoc/>
    public void Dispose()
    {
        _isDisposed = true;
        _fd.Dispose();
    }

    private static void CheckBitmap(int words, ulong pages)
    {
        if ((ulong)words < (pages / 64) + (pages % 64 == 0 ? 0UL : 1))
            throw new ArgumentException($"The bitmap has {words} words, too few for {pages} pages.");
    }

    private LinuxGuestMemory.Slot SlotOf(uint number) => _slots.TryGetValue(number, out var slot)
        ? slot
        : throw new ArgumentException($"This VM knows no memory slot {number}.", nameof(number));

    private VcpuHandle MakeVcpu(KvmFd fd, uint id, int index, int kickSignal)
    {
        Mapping? run = null;
        try
        {
            run = Mapping.OfVcpu(fd, _vcpuMmapSizeBytes, index);
            return new VcpuHandle(fd, _fd, run, _failure, _xsaveBytes.Value, id, index, kickSignal);
        }
        catch
        {
            run?.Dispose();
            fd.Dispose();
            throw;
        }
    }

    private void SetMemorySlot(LinuxGuestMemory.Slot slot, uint flags)
    {
        var argument = new kvm_userspace_memory_region
        {
            slot = slot.Region.Slot,
            flags = flags,
            guest_phys_addr = slot.Region.GuestAddress,
            memory_size = slot.Region.SizeBytes,
            userspace_addr = slot.HostAddress,
        };
        Ioctl.Struct(_fd, KvmRequests.SetUserMemoryRegion, ref argument);
    }
}
