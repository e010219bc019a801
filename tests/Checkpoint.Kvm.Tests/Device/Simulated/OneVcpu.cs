using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Device.Simulated;

/// <summary>A simulated VM of one vCPU, on arm64 initialised.</summary>
internal sealed class OneVcpu : IDisposable
{
    internal OneVcpu(SimulatedKvmOptions options, uint? armFeatures = 0)
    {
        Kvm = new SimulatedKvm(options);
        Vm = Kvm.CreateVm();
        Vcpu = Vm.CreateVcpu(0, 0);
        if (options.Architecture == MachineArchitecture.Arm64 && armFeatures is { } features)
            Vcpu.Set(KvmRequests.ArmVcpuInit, Init(features));
    }

    internal SimulatedKvm Kvm { get; }

    internal SimulatedVm Vm { get; }

    internal SimulatedVcpu Vcpu { get; }

    /// <summary>struct kvm_vcpu_init.</summary>
    internal static byte[] Init(uint features)
    {
        var init = new byte[KvmRequests.ArmVcpuInit.ArgumentSize];
        init[0] = 5; // KVM_ARM_TARGET_GENERIC_V8
        BitConverter.TryWriteBytes(init.AsSpan(4), features);
        return init;
    }

    public void Dispose()
    {
        Vcpu.Dispose();
        Vm.Dispose();
        Kvm.Dispose();
    }
}
