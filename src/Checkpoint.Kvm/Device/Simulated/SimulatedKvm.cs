using System.Collections.Immutable;
using System.Diagnostics.CodeAnalysis;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Device.Simulated;

/// <summary>
/// A KVM made of C#: the same calls, the same errors, guests run by an interpreter. It needs no /dev/kvm and no Linux.
/// </summary>
/// <remarks>
/// Time is made of instructions: each takes one nanosecond, and the clock of a VM is that of its vCPU that has executed most.
/// So a history does not depend on the host's speed, and a machine that does not run does not age.
/// </remarks>
public sealed class SimulatedKvm : IKvm
{
    /// <summary>The most CPUID entries of a vCPU, KVM_MAX_CPUID_ENTRIES.</summary>
    internal const int MaxCpuidEntries = 256;

    private const int StableApiVersion = 12;
    private const ulong NanosecondsPerSecond = 1_000_000_000;

    private readonly SimulatedCapabilities _capabilities;
    private bool _isDisposed;

    /// <summary>Makes a kernel.</summary>
    /// <param name="options">What it is like; null for the defaults.</param>
    public SimulatedKvm(SimulatedKvmOptions? options = null)
    {
        Options = options ?? new SimulatedKvmOptions();
        if (Options.Slice is { } slice && (slice.Least < 1 || slice.Most < slice.Least))
            throw new ArgumentException("A slice has at least one instruction.", nameof(options));
        if (Options.Xsave2Bytes is not 0 and < 4096)
            throw new ArgumentException("KVM_CAP_XSAVE2 is 0 or at least 4096.", nameof(options));
        Rules = Options.Rules.ToLookup(rule => rule.Id);
        _capabilities = new SimulatedCapabilities(Options);
    }

    /// <summary>What this kernel is like.</summary>
    public SimulatedKvmOptions Options { get; }

    /// <inheritdoc/>
    public int ApiVersion
    {
        get
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            return StableApiVersion;
        }
    }

    /// <inheritdoc/>
    public ulong CounterHz => Options.Architecture == MachineArchitecture.Arm64 ? NanosecondsPerSecond : 0;

    internal ILookup<ulong, SimulatedRegisterRule> Rules { get; }

    /// <inheritdoc/>
    public int CheckExtension(uint capability)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        return _capabilities.ValueOf(capability);
    }

    /// <inheritdoc/>
    public ReadOnlyMemory<byte> GetSupportedCpuid()
    {
        RequireX64(KvmRequests.GetSupportedCpuid);
        return Options.Cpuid.ToArray();
    }

    /// <inheritdoc/>
    public uint[] GetMsrIndexList()
    {
        RequireX64(KvmRequests.GetMsrIndexList);
        return [.. Options.Msrs.Where(msr => msr.IsListed && !IsMissing(StateIds.X64Msr(msr.Index))).Select(msr => msr.Index)];
    }

    /// <inheritdoc cref="IKvm.CreateVm"/>
    public SimulatedVm CreateVm(ulong type = 0)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        // x86 knows type 0 alone; arm64 takes the size of its physical addresses there, 0 for 40 bits.
        if (type != 0 && (Options.Architecture == MachineArchitecture.X64 || type is < 32 or > 48))
            Throw(KvmRequests.CreateVm, Errno.EINVAL);
        return new SimulatedVm(this);
    }

    IVm IKvm.CreateVm(ulong type) => CreateVm(type);

    /// <inheritdoc/>
    public void Dispose() => _isDisposed = true;

    [DoesNotReturn]
    internal static void Throw(in KvmRequest request, int errno, int? vcpu = null, string? register = null) =>
        throw new KvmException(request.Name, errno, vcpu, register);

    internal SimulatedRegisterRule? RuleOf(ulong id, int vcpu)
    {
        if (Options.Rules.IsEmpty)
            return null;
        foreach (var rule in Rules[id])
        {
            if (rule.IsAbout(vcpu))
                return rule;
        }

        return null;
    }

    // A list of the system concerns all vCPUs, so a rule about one of them does not change it.
    private bool IsMissing(ulong id) =>
        Rules[id].Any(rule => rule.Behaviour == SimulatedRegisterBehaviour.Missing && rule.Vcpu is null);

    private void RequireX64(in KvmRequest request)
    {
        ObjectDisposedException.ThrowIf(_isDisposed, this);
        if (Options.Architecture != MachineArchitecture.X64)
            Throw(request, Errno.ENOTTY);
    }
}
