namespace Checkpoint.Cli;

/// <summary>What the command tells the shell. Scripts rely on the numbers.</summary>
internal static class ExitCode
{
    /// <summary>Done.</summary>
    public const int Done = 0;

    /// <summary>The operation failed.</summary>
    public const int Failed = 1;

    /// <summary>The command line, or the settings file, makes no sense.</summary>
    public const int Usage = 2;

    /// <summary>Something stored is damaged.</summary>
    public const int Damaged = 3;

    /// <summary>There is no such store, machine or checkpoint.</summary>
    public const int NotFound = 4;

    /// <summary>SIGINT or SIGTERM.</summary>
    public const int Interrupted = 130;
}
