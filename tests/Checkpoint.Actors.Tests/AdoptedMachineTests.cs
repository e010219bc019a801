using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Actors.Tests;

/// <summary>The way of a hypervisor that built its VM itself and hands over fds.</summary>
[Collection(GuestCollection.Name)]
public sealed class AdoptedMachineTests
{
    private const int Vcpus = 2;

    [KvmTheory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_machine_built_by_its_embedder_is_checkpointed_restored_and_stays_the_embedders(bool embedderDrives)
    {
        await using var bench = Bench.Open();
        using var built = new HandBuiltVm(Vcpus, GuestOptions.DefaultMemoryBytes);
        using (var guest = Adopt(bench, built))
        {
            var exits = new ExitProbe(guest, Vcpus);
            await using var machine = await bench.Engine.AttachAsync(Bench.Vm, new MachineAttachment(guest.Machine, exits)
            {
                Devices = [new GuestDevice(guest)],
                Options = Bench.Patient(),
                EmbedderDrivesVcpus = embedderDrives,
            });
            Thread[] own = embedderDrives ? [.. Enumerable.Range(0, Vcpus).Select(vcpu => new Thread(() => machine.DriveVcpu(vcpu)) { IsBackground = true })] : [];
            foreach (var thread in own)
                thread.Start();
            machine.Start();
            for (var i = 0; i < 3; i++)
            {
                await exits.AllVcpusGoOnAsync();
                await Bench.CommittedAsync(machine);
            }

            await machine.StopAsync();
            Assert.All(own, thread => Assert.True(thread.Join(TimeSpan.FromSeconds(30))));
            Assert.Equal([], guest.Verify().Failures);
        }

        // The adopted fds and memory were not the machine's to close.
        foreach (var fd in built.VcpuFds.Append(built.Fd))
            Assert.Contains($"/proc/self/fd/{fd}", Directory.GetFiles("/proc/self/fd"));
        Assert.NotEqual(0, System.Runtime.InteropServices.Marshal.ReadByte(built.HostAddress + (int)GuestCode));
        await bench.RestoreAndRunOnAsync(3);
    }

    private const ulong GuestCode = 0x1000;

    private static GuestMachine Adopt(Bench bench, HandBuiltVm built)
    {
        // What the guest starts with comes from one that was made the usual way.
        using var donor = bench.Guest(vcpus: Vcpus);
        donor.Machine.CaptureVm();
        foreach (var vcpu in donor.Machine.Vcpus)
            vcpu.Capture();
        var beginning = new StateDocument(
            donor.Machine.Description, donor.Machine.ToVmStateList(), [.. donor.Machine.Vcpus.Select(vcpu => vcpu.ToStateList())], []);

        var vm = VmHandle.Adopt(built.Fd, ownsHandle: false);
        vm.CreatePit();
        var memory = vm.AdoptMemory([built.Region]);
        donor.Program.Load((address, bytes) => memory.Write(address, bytes.Span));
        var vcpus = new List<IVcpu>();
        for (var i = 0; i < Vcpus; i++)
        {
            vcpus.Add(vm.AdoptVcpu(built.VcpuFds[i], (uint)i, i, ownsHandle: false));
            vcpus[i].SetCpuid(donor.Machine.Description.Vcpus[i].Features.Span);
        }

        var machine = X64Machine.Adopt(bench.Kvm, vm, memory, vcpus, donor.Machine.Description with { TssAddress = null, IdentityMapAddress = null });
        Assert.Equal(3u, Assert.Single(machine.Description.Memory).Slot);
        var refusals = machine.Restore(beginning, ClockPolicy.Freeze, default, default).Refusals;
        Assert.Equal([], refusals.Select(refusal => refusal.ToString()));
        return GuestMachine.Restore(machine, donor.CaptureDevice().Span);
    }
}
