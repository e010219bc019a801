namespace Checkpoint.Cli.Output;

/// <summary>
/// What a command is at, on standard error: one line that changes on a terminal, and lines that stay, at most one every two
/// seconds, elsewhere.
/// </summary>
internal sealed class ProgressLine(TextWriter error, bool isTerminal, TimeProvider time)
{
    private const string ToStartAndClear = "\r\u001b[K";

    private static readonly TimeSpan s_terminalPace = TimeSpan.FromMilliseconds(100);
    private static readonly TimeSpan s_plainPace = TimeSpan.FromSeconds(2);

    private long? _last;
    private bool _isShown;

    /// <summary>Says how far the command is; most calls between two paces say nothing.</summary>
    public void Report(Func<string> text)
    {
        var now = time.GetTimestamp();
        // Elsewhere than on a terminal the first pace passes in silence: what is quick needs no progress.
        if (_last is null && !isTerminal)
            _last = now;
        if (_last is { } last && time.GetElapsedTime(last, now) < (isTerminal ? s_terminalPace : s_plainPace))
            return;
        _last = now;
        if (isTerminal)
            error.Write(ToStartAndClear + text());
        else
            error.WriteLine(text());
        error.Flush();
        _isShown = isTerminal;
    }

    /// <summary>Says something that stays.</summary>
    public void Say(string text)
    {
        Clear();
        error.WriteLine(text);
        error.Flush();
    }

    /// <summary>Takes the changing line away.</summary>
    public void Clear()
    {
        if (!_isShown)
            return;
        error.Write(ToStartAndClear);
        error.Flush();
        _isShown = false;
    }
}
