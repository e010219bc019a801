using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage;

/// <summary>
/// Makes files 0600 and folders 0700: they hold guest memory. The mode is given at creation, so that there is no moment in
/// which anybody else could open them.
/// </summary>
internal static class OwnerOnly
{
    /// <summary>Opens a file for reading and writing; the mode is set where it is created by this.</summary>
    /// <param name="path">The file.</param>
    /// <param name="mustBeNew">Whether a file that is there already is an error.</param>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle CreateFile(string path, bool mustBeNew) => FileSync.OpenOwnerOnly(path, mustBeNew);

    /// <summary>Creates a folder, and those above it, where they are missing, and makes each new entry durable.</summary>
    /// <exception cref="IOException">It cannot be created.</exception>
    public static void CreateFolder(string path)
    {
        if (OperatingSystem.IsWindows())
            throw new PlatformNotSupportedException("The store needs Linux.");
        if (Directory.Exists(path))
            return;
        var above = Path.GetDirectoryName(path)!;
        CreateFolder(above);
        Directory.CreateDirectory(path, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        FileSync.Folder(above);
    }
}
