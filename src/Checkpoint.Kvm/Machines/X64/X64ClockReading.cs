using System.Buffers.Binary;

namespace Checkpoint.Kvm.Machines.X64;

/// <summary>The guest's clock and the host's TSC at one moment, as KVM_GET_CLOCK gives them.</summary>
/// <param name="GuestNs">The guest's clock in nanoseconds.</param>
/// <param name="HostTsc">The host's TSC.</param>
internal readonly record struct X64ClockReading(ulong GuestNs, ulong HostTsc)
{
    // struct kvm_clock_data: clock, flags, pad, realtime, host_tsc.
    private const int FlagsOffset = 8;
    private const int HostTscOffset = 24;
    private const uint HasHostTsc = 1 << 3; // KVM_CLOCK_HOST_TSC

    /// <summary>Takes a struct kvm_clock_data apart; null where the kernel gave no TSC with it.</summary>
    public static X64ClockReading? From(ReadOnlySpan<byte> clock) =>
        clock.Length > HostTscOffset && (BinaryPrimitives.ReadUInt32LittleEndian(clock[FlagsOffset..]) & HasHostTsc) != 0
            ? new X64ClockReading(BinaryPrimitives.ReadUInt64LittleEndian(clock), BinaryPrimitives.ReadUInt64LittleEndian(clock[HostTscOffset..]))
            : null;

    /// <summary>
    /// What a vCPU's TSC must be before this host's, so that TSC and clock stand to each other as at the checkpoint: step 6 of
    /// KVM_VCPU_TSC_OFFSET in Documentation/virt/kvm/devices/vcpu.rst.
    /// </summary>
    /// <param name="savedOffset">The offset at the checkpoint.</param>
    /// <param name="saved">The clock at the checkpoint.</param>
    /// <param name="tscKhz">The frequency of both TSCs.</param>
    public ulong OffsetAfter(ulong savedOffset, X64ClockReading saved, uint tscKhz)
    {
        var passed = (Int128)GuestNs - saved.GuestNs;
        var ticks = passed * tscKhz / 1_000_000;
        return unchecked(savedOffset + saved.HostTsc - HostTsc + (ulong)(long)ticks);
    }
}
