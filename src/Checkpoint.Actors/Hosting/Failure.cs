using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Hosting;

/// <summary>Makes a thrown exception what the coordinator is told.</summary>
internal static class Failure
{
    public static ParticipantFailure Of(string what, Exception failure) =>
        new($"{what}: {failure.Message}", null, (failure as KvmException)?.Errno);
}
