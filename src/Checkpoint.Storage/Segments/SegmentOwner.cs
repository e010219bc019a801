using System.Text;

namespace Checkpoint.Storage.Segments;

/// <summary>
/// Which store the segments in a folder belong to. A sweep deletes what its own journal does not name, so two stores in one folder
/// would delete each other's segments. The folder has the store's random id in a file, and the database has it in a table: both
/// can be moved and copied together.
/// </summary>
/// <param name="folder">The folder of the segments.</param>
/// <param name="store">The id in the database; null for one without an id that is open for reading only.</param>
/// <param name="beside">Whether it is the folder that has the database's name: then segments without an owner are the database's.</param>
internal sealed class SegmentOwner(string folder, string? store, bool beside)
{
    public const string FileName = ".store";

    private const int LongestIdBytes = 64;

    private readonly string _path = Path.Combine(folder, FileName);

    /// <summary>Checks that the folder does not belong to another store. Nothing is created.</summary>
    /// <exception cref="StoreException">It does, or it cannot be read.</exception>
    public void Check()
    {
        if (store is not null)
            Find();
    }

    /// <summary>Checks the folder, and notes the store in it if it can; where it cannot, deleting its own is as safe as before.</summary>
    /// <exception cref="StoreException">It belongs to another store, or it cannot be read.</exception>
    public void CheckAndTryToOwn()
    {
        if (store is null || Find())
            return;
        try
        {
            Write();
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A full disk must not keep a machine from being locked and swept. Before anything is written the file will be there.
        }

        Find();
    }

    /// <summary>Makes the folder this store's, durably.</summary>
    /// <exception cref="StoreException">It belongs to another store, or it cannot be read.</exception>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Own()
    {
        if (store is null || Find())
            return;
        Write();
        Find();
    }

    /// <summary>Whether the folder says that it is this store's; false where it says nothing and may be taken.</summary>
    private bool Find()
    {
        string? found;
        bool mayBeTaken;
        try
        {
            found = Read();
            mayBeTaken = found is null && (beside || !HoldsSegments());
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new StoreException(StoreFailure.Unusable, $"the segments folder {folder} does not say whose it is: {SystemMessages.Of(exception)}; {SystemMessages.AdviceOn(exception)}", exception);
        }
        catch (InvalidDataException exception)
        {
            throw new StoreException(StoreFailure.Unusable, $"the segments folder {folder} does not say whose it is, at {FileName}: {exception.Message}; remove that", exception);
        }

        if (found == store)
            return true;
        if (mayBeTaken)
            return false;
        throw new StoreException(StoreFailure.Unusable, found is null
            ? $"the segments folder {folder} holds segments and does not say of which store; if they are this store's, write {store} into {_path}, else name another with --segments"
            : $"the segments folder {folder} belongs to another store ({FileName} says {found}, this store is {store}); name another with --segments");
    }

    /// <summary>The id in the file; null where there is no file.</summary>
    private string? Read()
    {
        try
        {
            using var file = FileSync.OpenRegular(_path);
            Span<byte> content = stackalloc byte[LongestIdBytes];
            var text = Encoding.ASCII.GetString(content[..RandomAccess.Read(file, content, 0)]).Trim();
            return text.Length > 0 && text.All(char.IsAsciiLetterOrDigit) ? text : "nothing that is an id";
        }
        catch (FileNotFoundException)
        {
            return null;
        }
    }

    private bool HoldsSegments() => Directory.Exists(folder)
        && Directory.EnumerateDirectories(folder).Any(machine => Directory.EnumerateFiles(machine, "*.seg*").Any());

    /// <summary>The file appears with its content or not at all, and of two stores at the same time one has it.</summary>
    private void Write()
    {
        OwnerOnly.CreateFolder(folder);
        var temporary = $"{_path}.{Guid.NewGuid():N}";
        try
        {
            using (var file = OwnerOnly.CreateFile(temporary, mustBeNew: true))
            {
                RandomAccess.Write(file, Encoding.ASCII.GetBytes(store + "\n"), 0);
                FileSync.File(file);
            }

            File.Move(temporary, _path, overwrite: false);
            FileSync.Folder(folder);
        }
        catch (IOException) when (File.Exists(_path))
        {
            // Somebody else was first; the next look says whether it was this store.
        }
        finally
        {
            File.Delete(temporary);
        }
    }
}
