namespace Checkpoint.Kvm.Memory;

/// <summary>How long the rest of the memory would keep the guest, from what copying took of late.</summary>
internal sealed class PauseEstimate(TimeProvider time)
{
    private const long EnoughToTell = 64;
    private const double DoubtFactor = 0.5;

    private double _usPerPage;
    private bool _isGuess = true;
    private double _usBesidesCopying;

    /// <summary>The moment to count from.</summary>
    public long Now() => time.GetTimestamp();

    public TimeSpan Since(long begun) => time.GetElapsedTime(begun);

    /// <summary>So many pages were copied in that time while the guest ran.</summary>
    /// <param name="pages">How many.</param>
    /// <param name="took">How long it took.</param>
    /// <param name="areAll">Whether that was all memory: page after page is copied faster than what is left, and tells only where nothing else does.</param>
    public void LearnCopy(long pages, TimeSpan took, bool areAll = false)
    {
        if (pages < EnoughToTell || (areAll && !_isGuess))
            return;
        var usPerPage = took.TotalMicroseconds / pages;
        _usPerPage = _isGuess ? usPerPage : Mean(_usPerPage, usPerPage);
        _isGuess = areAll;
    }

    /// <summary>So many pages were taken in a pause, and that was all that the memory took of it.</summary>
    public void LearnPause(long pages, TimeSpan took)
    {
        if (pages < EnoughToTell)
            _usBesidesCopying = Mean(_usBesidesCopying, Math.Max(0, took.TotalMicroseconds - (pages * _usPerPage)));
        else
            LearnCopy(pages, took);
    }

    /// <summary>
    /// A pause was not taken for what it would have lasted. What one that others disturbed has left behind must not forbid all that follow: only
    /// pauses tell that it was too much.
    /// </summary>
    public void Doubt() => _usBesidesCopying *= DoubtFactor;

    /// <summary>How long the pause would last for so many pages.</summary>
    public TimeSpan Of(long pages) => TimeSpan.FromMicroseconds(_usBesidesCopying + (pages * _usPerPage));

    // What was disturbed by others says little: less counts at once, more by and by.
    private static double Mean(double old, double now) => old == 0 || now < old ? now : old + ((now - old) / 16);
}
