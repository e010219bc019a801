using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Memory;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests.Restoring;

/// <summary>A fact of machines on KVM whose memory comes in when it is touched; skipped with the reason where that is not permitted.</summary>
[AttributeUsage(AttributeTargets.Method)]
internal sealed class LazyFactAttribute : FactAttribute
{
    private static readonly string? s_reasonAgainst = Find();

    public LazyFactAttribute() => Skip = s_reasonAgainst;

    private static string? Find()
    {
        if (!SystemHandle.TryOpen(out var system, out var reason))
            return reason;
        using (system)
        using (var vm = system.CreateVm())
        using (var memory = vm.CreateMemory([new MemoryRegion(0, 0, 0, 4096)]))
            return memory.TryFillLazily(new Nothing(), out var obstacle) ? null : obstacle;
    }

    private sealed class Nothing : IPageSource
    {
        public bool HasData(ulong guestAddress, ulong length) => false;

        public void Read(ulong guestAddress, Span<byte> destination) => destination.Clear();

        public void Dispose()
        {
        }
    }
}
