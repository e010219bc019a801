namespace Checkpoint.Storage;

/// <summary>What the system says of a failure, made to fit into a line of ours.</summary>
internal static class SystemMessages
{
    private const int Eperm = 1;
    private const int Eio = 5;
    private const int Enomem = 12;
    private const int Eacces = 13;
    private const int Enfile = 23;
    private const int Emfile = 24;
    private const int Enospc = 28;
    private const int Erofs = 30;
    private const int Edquot = 122;

    /// <summary>The message without the period at its end, as ours go on behind it.</summary>
    public static string Of(Exception exception) => exception.Message.TrimEnd('.', ' ');

    /// <summary>Whether it was for want of room.</summary>
    /// <param name="exception">What the system said.</param>
    public static bool IsFull(Exception exception) => exception is IOException && IsFull(exception.HResult);

    /// <summary>Whether an error number says that there is no room.</summary>
    public static bool IsFull(int errno) => errno is Enospc or Edquot;

    /// <summary>What to do about a file that cannot be opened or written.</summary>
    /// <param name="exception">What the system said; an <see cref="IOException"/> has the error's number in <see cref="Exception.HResult"/>.</param>
    public static string AdviceOn(Exception exception) => exception is UnauthorizedAccessException ? "check its permissions" : exception.HResult switch
    {
        Eperm or Eacces or Erofs => "check its permissions",
        Eio => "check the disk and the system's log",
        Enomem => "there is not enough memory; free some",
        Emfile => "this process has as many files open as it may: raise its limit (ulimit -n)",
        Enfile => "the system has as many files open as it may: raise its limit (sysctl fs.file-max)",
        Enospc or Edquot => "free some space there",
        _ => "check the disk and the permissions there",
    };
}
