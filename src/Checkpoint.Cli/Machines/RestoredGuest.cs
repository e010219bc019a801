using Checkpoint.Actors;
using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.History;

namespace Checkpoint.Cli.Machines;

/// <summary>A checkpoint brought back, with the guest that ran in it, not running yet.</summary>
internal sealed class RestoredGuest : IDisposable
{
    private RestoredGuest(RestoredMachine restored, GuestMachine guest)
    {
        Restored = restored;
        Guest = guest;
    }

    public RestoredMachine Restored { get; }

    public GuestMachine Guest { get; }

    /// <summary>Builds the machine in a fresh VM.</summary>
    /// <exception cref="CommandException">The machine is not one of this program's.</exception>
    public static async Task<RestoredGuest> RestoreAsync(
        CheckpointEngine engine, Kernel kernel, CheckpointReference reference, RestoreOptions options, CancellationToken cancellationToken)
    {
        var restored = await engine.RestoreAsync(kernel.Kvm, reference, options with { Batching = kernel.Batching }, cancellationToken).ConfigureAwait(false);
        try
        {
            if (!restored.Document.Devices.Any(device => device.Name == GuestMachine.DeviceName))
            {
                throw CommandException.Failed(
                    $"checkpoint {restored.Vm}@{restored.Checkpoint.Number} has no guest that this program knows; only the program that made it can run it");
            }

            return new RestoredGuest(restored, GuestMachine.Restore(restored.Machine, restored.DeviceStateOf(GuestMachine.DeviceName).Span));
        }
        catch
        {
            restored.Dispose();
            throw;
        }
    }

    /// <summary>Verifies the guest as the checkpoint holds it; it must not have run yet.</summary>
    public GuestVerdict VerifyAtCheckpoint() => Guest.Verify(Restored.Document.Vcpus);

    public void Dispose() => Restored.Dispose();
}
