namespace Checkpoint.FaultSoak;

/// <summary>Folders in memory where the host has such: thousands of rehearsals would wait for a disk otherwise.</summary>
internal static class Folders
{
    private const string InMemory = "/dev/shm";

    public static string Make() => Directory.Exists(InMemory)
        ? Directory.CreateDirectory(Path.Combine(InMemory, $"checkpoint-faults-{Guid.NewGuid():N}")).FullName
        : Directory.CreateTempSubdirectory("checkpoint-faults-").FullName;
}
