namespace Checkpoint.Storage.Payloads;

/// <summary>Bytes that are not the payload they should be: damaged, cut short, or of a version that this program does not know.</summary>
public sealed class PayloadException : Exception
{
    /// <summary>Tells what is wrong, in one line.</summary>
    public PayloadException(string message)
        : base(message)
    {
    }

    /// <summary>Tells what is wrong, in one line, and what the decoder underneath said.</summary>
    public PayloadException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
