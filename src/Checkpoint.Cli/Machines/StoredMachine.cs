using System.Buffers;
using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Memory;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Cli.Machines;

/// <summary>
/// A checkpoint looked at as it lies in the store: a machine that has memory to be read and nothing that could run. It lets a
/// guest be verified on a host without KVM.
/// </summary>
internal sealed class StoredMachine(MachineDescription description, StoredMemory stored) : Machine
{
    public override MachineDescription Description => description;

    public override IGuestMemory Memory { get; } = new ReadOnlyMemory(description, stored);

    public override IVm Vm => throw new NotSupportedException();

    public override ImmutableArray<VcpuState> Vcpus => [];

    public override long? GuestClockNs => null;

    public override void CaptureVm() => throw new NotSupportedException();

    public override StateList ToVmStateList() => throw new NotSupportedException();

    public override RestoreReport Restore(
        StateDocument document,
        ClockPolicy clock,
        DateTimeOffset takenAt,
        DateTimeOffset now,
        RegisterPolicy? policy = null,
        IReadOnlyList<RegisterRefusal>? features = null) =>
        throw new NotSupportedException();

    protected override void Dispose(bool disposing)
    {
        // The stored memory belongs to whoever opened it.
    }

    /// <summary>Reads pages, each checked against its checksum. The last one is kept: a guest's words lie close together.</summary>
    private sealed class ReadOnlyMemory(MachineDescription description, StoredMemory stored) : IGuestMemory
    {
        private readonly byte[] _page = new byte[MemoryRegion.PageBytes];
        private ulong? _pageAddress;

        public ImmutableArray<MemoryRegion> Regions => description.Memory;

        public WrittenPages? Written { get; set; }

        public void Read(ulong guestAddress, Span<byte> destination)
        {
            while (!destination.IsEmpty)
            {
                var offset = (int)(guestAddress % MemoryRegion.PageBytes);
                Load(guestAddress - (ulong)offset);
                var part = _page.AsSpan(offset, Math.Min(destination.Length, MemoryRegion.PageBytes - offset));
                part.CopyTo(destination);
                destination = destination[part.Length..];
                guestAddress += (ulong)part.Length;
            }
        }

        public void Write(ulong guestAddress, ReadOnlySpan<byte> source) => throw new NotSupportedException();

        public void Fill<TState>(ulong guestAddress, int length, TState state, SpanAction<byte, TState> write) => throw new NotSupportedException();

        public void Dispose()
        {
        }

        private void Load(ulong address)
        {
            if (_pageAddress == address)
                return;
            if (!description.Memory.Any(region => address >= region.GuestAddress && address - region.GuestAddress < region.SizeBytes))
                throw new ArgumentOutOfRangeException(nameof(address), $"0x{address:x} is not in the machine's memory.");
            _pageAddress = null;
            stored.Read(address, _page);
            _pageAddress = address;
        }
    }
}
