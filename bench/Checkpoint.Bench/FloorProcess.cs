using System.Diagnostics;
using System.Globalization;

namespace Checkpoint.Bench;

/// <summary>A pre-copy of the C program.</summary>
/// <param name="PauseUs">From the first kick until the last vCPU entered the guest again.</param>
/// <param name="Rounds">Rounds of copying before the pause.</param>
/// <param name="Left">Pages left for the pause.</param>
/// <param name="Pages">Pages copied, those copied twice counted twice.</param>
internal readonly record struct FloorPrecopy(double PauseUs, int Rounds, long Left, long Pages);

/// <summary>The C program of bench/floor with its own guest, told what to do line by line.</summary>
internal sealed class FloorProcess : IWriterGuest, IDisposable
{
    private readonly Process _process;
    private readonly int _vcpus;
    private readonly Tsc _tsc;

    public FloorProcess(string program, string code, ulong memoryBytes, int vcpus, Tsc tsc)
    {
        (_vcpus, _tsc) = (vcpus, tsc);
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true };
        foreach (var argument in (string[])[code, (memoryBytes >> 20).ToString(CultureInfo.InvariantCulture), vcpus.ToString(CultureInfo.InvariantCulture)])
            start.ArgumentList.Add(argument);
        _process = Process.Start(start) ?? throw new InvalidOperationException($"{program} could not be started.");
    }

    public void Fill() => Ask("fill");

    /// <summary>From now on what the guest writes is logged, as it is after a first checkpoint.</summary>
    public void BeginLog() => Ask("begin");

    public void EndLog() => Ask("end");

    public void Go() => Ask("go");

    public void Hold() => Ask("hold");

    public void WritePages(double perSecond) =>
        Ask(string.Create(CultureInfo.InvariantCulture, $"period {(perSecond == 0 ? 0 : (ulong)(_tsc.Hz * _vcpus / perSecond))}"));

    public GuestProgress Progress()
    {
        var numbers = Numbers("stats");
        return new GuestProgress(numbers[0], numbers[1], _tsc.ToUs((ulong)numbers[2]));
    }

    /// <summary>Kick, registers, wake.</summary>
    /// <returns>Microseconds.</returns>
    public double Floor() => Numbers("floor")[0] / 1e3;

    /// <summary>A checkpoint's memory into a buffer, most of it while the guest runs.</summary>
    public FloorPrecopy Precopy()
    {
        var numbers = Numbers("precopy");
        return new FloorPrecopy(numbers[0] / 1e3, (int)numbers[1], numbers[2], numbers[3]);
    }

    public void Dispose()
    {
        _process.StandardInput.WriteLine("quit");
        _process.StandardInput.Flush();
        _process.WaitForExit();
        _process.Dispose();
    }

    private long[] Numbers(string command) => [.. Ask(command).Split(' ').Select(word => long.Parse(word, CultureInfo.InvariantCulture))];

    private string Ask(string command)
    {
        _process.StandardInput.WriteLine(command);
        _process.StandardInput.Flush();
        return _process.StandardOutput.ReadLine() ?? throw new InvalidOperationException($"The C program has ended at '{command}'.");
    }
}
