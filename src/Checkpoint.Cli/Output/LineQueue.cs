using System.Threading.Channels;

namespace Checkpoint.Cli.Output;

/// <summary>
/// Writes lines in their order on a task of its own: a reader who is slow, or has stopped, holds up neither checkpoints nor a
/// clean stop.
/// </summary>
internal sealed class LineQueue
{
    private const int MostLines = 65_536;

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);

    private readonly Channel<string> _lines = Channel.CreateBounded<string>(new BoundedChannelOptions(MostLines) { SingleReader = true });
    private readonly TextWriter _writer;
    private readonly TimeProvider _time;
    private readonly Task _writing;

    public LineQueue(TextWriter writer, TimeProvider time)
    {
        _writer = writer;
        _time = time;
        _writing = Task.Run(WriteAllAsync);
    }

    /// <summary>Takes a line, with its end; it is written and flushed soon.</summary>
    /// <exception cref="CommandException">Nobody reads any more, or the lines cannot be written.</exception>
    public void Add(string line)
    {
        if (_writing.IsFaulted)
            throw NotWritten();
        if (!_lines.Writer.TryWrite(line))
            throw CommandException.Failed($"standard output is not read: {MostLines} lines wait to be written");
    }

    /// <summary>Takes no more lines, and returns when all are written.</summary>
    /// <exception cref="CommandException">They cannot be written, or nobody reads them for a while.</exception>
    public async Task CompleteAsync()
    {
        _lines.Writer.TryComplete();
        await Task.WhenAny(_writing, Task.Delay(s_patience, _time)).ConfigureAwait(false);
        if (_writing.IsFaulted)
            throw NotWritten();
        if (!_writing.IsCompleted)
            throw CommandException.Failed($"standard output is not read: {_lines.Reader.Count} lines could not be written");
    }

    private CommandException NotWritten() =>
        CommandException.Failed($"standard output cannot be written: {_writing.Exception!.InnerException!.Message.ReplaceLineEndings(" ")}");

    private async Task WriteAllAsync()
    {
        await foreach (var line in _lines.Reader.ReadAllAsync().ConfigureAwait(false))
        {
            // Text and line end in one call, and nothing held back: who reads the line may rely on it.
            await _writer.WriteAsync(line).ConfigureAwait(false);
            await _writer.FlushAsync().ConfigureAwait(false);
        }
    }
}
