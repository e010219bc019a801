using System.ComponentModel;
using System.Runtime.InteropServices;
using Checkpoint.Protocol.Faults;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage;

/// <summary>
/// The calls that .NET has no exact equal of: open(2) with flags and a mode, without .NET's own locks, fsync(2) of folders, flock(2), statx(2).
/// </summary>
internal static class FileSync
{
    private const int Enoent = 2;
    private const int Eintr = 4;
    private const int Enxio = 6;
    private const int Eagain = 11;
    private const int Enotdir = 20;
    private const int Eloop = 40;
    private const int OpenReadOnlyCloseOnExec = 0x80000;
    private const int OpenReadOnlyNonBlockingCloseOnExec = 0x80800;
    private const int OpenReadOnlyDirectoryCloseOnExec = 0x90000;
    private const int OpenReadOnlyDirectoryCloseOnExecArm64 = 0x84000;
    private const int OpenReadWriteCreateCloseOnExec = 0x80042;
    private const int OpenExclusive = 0x80;
    private const int EmptyPath = 0x1000;
    private const int StatxType = 1;
    private const int StatxBytes = 256;
    private const int StatxModeOffset = 28;
    private const uint OwnerReadsAndWrites = 0x180;
    private const int LockExclusiveNonBlocking = 2 | 4;
    private const int LockRelease = 8;

    private static readonly nint s_statx = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? 291 : 332;

    /// <summary>Brings a file's content and size to the disk.</summary>
    /// <exception cref="IOException">
    /// It did not get there. The kernel may have dropped the pages by now, so the file is to be abandoned: a second sync would
    /// succeed and prove nothing.
    /// </exception>
    public static void File(SafeFileHandle file) => Sync(file, "file");

    /// <summary>Brings a folder's entries to the disk: new names, renames and removals.</summary>
    /// <exception cref="IOException">They did not get there, or the folder cannot be opened.</exception>
    public static void Folder(string path)
    {
        // O_DIRECTORY has another value on arm64.
        var flags = RuntimeInformation.ProcessArchitecture == Architecture.Arm64 ? OpenReadOnlyDirectoryCloseOnExecArm64 : OpenReadOnlyDirectoryCloseOnExec;
        using var handle = Open(path, flags, 0, $"folder {path}");
        Sync(handle, $"folder {path}");
    }

    /// <summary>Opens a file for reading and writing, mode 0600 where it is created by this.</summary>
    /// <exception cref="IOException">It cannot be opened, or is there already and must be new.</exception>
    public static SafeFileHandle OpenOwnerOnly(string path, bool mustBeNew) =>
        Open(path, OpenReadWriteCreateCloseOnExec | (mustBeNew ? OpenExclusive : 0), OwnerReadsAndWrites, path);

    /// <summary>
    /// Opens a regular file for reading, and nothing else: a FIFO would keep whoever opens it until somebody writes to it. The error's
    /// number is in <see cref="Exception.HResult"/>.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is none.</exception>
    /// <exception cref="InvalidDataException">What has the name is no regular file; the message says what it is.</exception>
    /// <exception cref="IOException">It cannot be opened.</exception>
    public static SafeFileHandle OpenRegular(string path)
    {
        var descriptor = TryOpen(path, OpenReadOnlyNonBlockingCloseOnExec, 0, out var error);
        // Of a regular file alone, where a file server's lease has to be broken first (fcntl(2), F_SETLEASE).
        if (descriptor < 0 && error == Eagain)
            descriptor = TryOpen(path, OpenReadOnlyCloseOnExec, 0, out error);
        if (descriptor < 0)
        {
            throw error switch
            {
                Enoent or Enotdir => new FileNotFoundException($"{path} is not there", path),
                Enxio => new InvalidDataException("a socket or a device has its name, where a file should be"),
                Eloop => new InvalidDataException("a loop of symbolic links has its name, where a file should be"),
                _ => new IOException($"{new Win32Exception(error).Message} ({ErrorNumbers.NameOf(error)})", error),
            };
        }

        var file = new SafeFileHandle(descriptor, ownsHandle: true);
        try
        {
            return KindOf(file) is { } other ? throw new InvalidDataException($"{other} has its name, where a file should be") : file;
        }
        catch
        {
            file.Dispose();
            throw;
        }
    }

    /// <summary>Takes a file's exclusive lock if nobody has it. It lasts until the file is closed, or the process ends.</summary>
    /// <exception cref="IOException">The file system has no locks, or another error.</exception>
    public static bool TryLock(SafeFileHandle file, string path)
    {
        int result;
        do
            result = NativeFlock((int)file.DangerousGetHandle(), LockExclusiveNonBlocking);
        while (result < 0 && Marshal.GetLastPInvokeError() == Eintr);
        GC.KeepAlive(file);
        if (result == 0)
            return true;
        return Marshal.GetLastPInvokeError() == Eagain ? false : throw Failed("flock", path);
    }

    /// <summary>
    /// Gives a file's lock back. Closing alone is not enough: a child that is just being started has a copy of the descriptor
    /// until its exec, and would keep the lock for that long.
    /// </summary>
    public static void Unlock(SafeFileHandle file)
    {
        _ = NativeFlock((int)file.DangerousGetHandle(), LockRelease);
        GC.KeepAlive(file);
    }

    /// <summary>Opens a file or folder with flags of open(2).</summary>
    /// <param name="path">Its path.</param>
    /// <param name="flags">As this architecture has them.</param>
    /// <param name="mode">Where it may be created by this.</param>
    /// <param name="what">What an error calls it.</param>
    /// <exception cref="IOException">The system says no.</exception>
    internal static SafeFileHandle Open(string path, int flags, uint mode, string what)
    {
        var descriptor = TryOpen(path, flags, mode, out _);
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw Failed("open", what);
    }

    private static int TryOpen(string path, int flags, uint mode, out int error)
    {
        int descriptor;
        do
        {
            descriptor = NativeOpen(PathBytes(path), flags, mode);
            error = descriptor < 0 ? Marshal.GetLastPInvokeError() : 0;
        }
        while (error == Eintr);
        return descriptor;
    }

    /// <summary>What an open file is; null for a regular one.</summary>
    private static string? KindOf(SafeFileHandle file)
    {
        // struct statx is the same on every architecture; its stx_mode has the kind in the upper four bits (inode(7)).
        var found = new byte[StatxBytes];
        var result = NativeStatx(s_statx, (int)file.DangerousGetHandle(), [0], EmptyPath, StatxType, found);
        GC.KeepAlive(file);
        if (result < 0)
            throw Failed("statx", "a segment");
        return (BitConverter.ToUInt16(found, StatxModeOffset) >> 12) switch
        {
            0x8 => null,
            0x1 => "a FIFO",
            0x4 => "a folder",
            0x2 or 0x6 => "a device",
            _ => "something else",
        };
    }

    private static void Sync(SafeFileHandle handle, string what)
    {
        int result;
        do
            result = NativeFsync((int)handle.DangerousGetHandle());
        while (result < 0 && Marshal.GetLastPInvokeError() == Eintr);
        GC.KeepAlive(handle);
        if (result < 0)
            throw Failed("fsync", what);
    }

    private static byte[] PathBytes(string path) => [.. System.Text.Encoding.UTF8.GetBytes(path), 0];

    private static IOException Failed(string call, string what)
    {
        var error = Marshal.GetLastPInvokeError();
        return new IOException($"{call} of {what} failed: {new Win32Exception(error).Message} (errno {error})", error);
    }

    [DllImport("libc", EntryPoint = "fsync", SetLastError = true)]
    private static extern int NativeFsync(int descriptor);

    // A function for it came late to C libraries. The kernel reads the path and writes the result.
    [DllImport("libc", EntryPoint = "syscall", SetLastError = true)]
    private static extern nint NativeStatx(nint number, nint descriptor, byte[] path, nint flags, nint mask, [Out] byte[] found);

    [DllImport("libc", EntryPoint = "flock", SetLastError = true)]
    private static extern int NativeFlock(int descriptor, int operation);

    [DllImport("libc", EntryPoint = "open", SetLastError = true)]
    private static extern int NativeOpen(byte[] path, int flags, uint mode);
}
