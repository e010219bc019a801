using System.Globalization;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace Checkpoint.Storage.Locks;

/// <summary>
/// An flock(2) on a file of the machine's name. The kernel takes it back when the process ends. The file holds the holder's
/// process id, for the message alone, and is never deleted: deleting a lock file lets two processes lock two files of one name.
/// </summary>
public sealed class FileMachineLock : IMachineLock
{
    private const int LongestHolderBytes = 32;

    private readonly SafeFileHandle _file;
    private int _released;

    private FileMachineLock(string vm, SafeFileHandle file)
    {
        Vm = vm;
        _file = file;
    }

    /// <inheritdoc/>
    public string Vm { get; }

    /// <inheritdoc/>
    public bool IsHeld => Volatile.Read(ref _released) == 0;

    /// <summary>Takes the lock of a machine.</summary>
    /// <param name="folder">The folder of the lock files; it is created where it is missing.</param>
    /// <param name="vm">The machine.</param>
    /// <exception cref="StoreException">Somebody else holds it, or the file cannot be locked.</exception>
    /// <exception cref="ArgumentException">The name is not valid.</exception>
    public static FileMachineLock Acquire(string folder, string vm)
    {
        MachineNames.Check(vm);
        var path = Path.Combine(folder, vm);
        SafeFileHandle? file = null;
        try
        {
            OwnerOnly.CreateFolder(folder);
            file = OwnerOnly.CreateFile(path, mustBeNew: false);
            if (!FileSync.TryLock(file, path))
                throw new StoreException(StoreFailure.Held, $"the machine '{vm}' is held by {HolderOf(file)}; stop it first (lock file {path})");
            var holder = new FileMachineLock(vm, file);
            holder.TrySign(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n");
            file = null;
            return holder;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(StoreFailure.Unusable, $"the machine '{vm}' cannot be locked at {path}: {SystemMessages.Of(exception)}; check the folder", exception);
        }
        finally
        {
            file?.Dispose();
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        if (Interlocked.Exchange(ref _released, 1) != 0)
            return;
        TrySign("");
        FileSync.Unlock(_file);
        _file.Dispose();
    }

    private static string HolderOf(SafeFileHandle file)
    {
        Span<byte> content = stackalloc byte[LongestHolderBytes];
        var text = Encoding.ASCII.GetString(content[..RandomAccess.Read(file, content, 0)]).Trim();
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var process) ? $"process {process}" : "another process";
    }

    /// <summary>
    /// The content is for a message only: on a full disk the machine can still be locked, to prune it. What the holder before left
    /// goes first, so that nobody is sent to a wrong process.
    /// </summary>
    private void TrySign(string content)
    {
        try
        {
            RandomAccess.SetLength(_file, 0);
            if (content.Length > 0)
                RandomAccess.Write(_file, Encoding.ASCII.GetBytes(content), 0);
        }
        catch (IOException)
        {
            // As said, nothing depends on it.
        }
    }
}
