using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Guests;

namespace Checkpoint.Kvm.Tests.Device.Linux;

public sealed class DisposedVcpuTests
{
    [KvmFact]
    public async Task An_exit_of_a_vcpu_that_is_disposed_of_meanwhile_can_still_be_answered()
    {
        using var kvm = SystemHandle.Open();
        var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 1, Seed = 1, ExitEverySteps = 16, WriteEverySteps = 16 });
        var vcpu = guest.Machine.Vcpus[0].Vcpu;
        var inHandler = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var isDisposed = new ManualResetEventSlim();
        var driving = Task.Factory.StartNew(Drive, CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        await inHandler.Task;
        guest.Dispose();
        isDisposed.Set();
        Assert.IsType<ObjectDisposedException>(await driving.WaitAsync(TimeSpan.FromSeconds(60)));
        isDisposed.Dispose();

        Exception? Drive()
        {
            vcpu.BindToCurrentThread();
            try
            {
                var exit = vcpu.Run();
                while (exit.Reason == VcpuExitReason.Interrupted)
                    exit = vcpu.Run();
                inHandler.SetResult();
                isDisposed.Wait();
                // In the page that the vCPU shares with the kernel: unmapped, this would end the process.
                exit.Data.Clear();
                return Record.Exception(() => { vcpu.Run(); });
            }
            finally
            {
                vcpu.Unbind();
            }
        }
    }
}
