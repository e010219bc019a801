using System.Diagnostics;
using System.Text.Json;
using Checkpoint.Cli.Machines;

namespace Checkpoint.Cli.Demo;

/// <summary>A child process of this same program that executes <c>run --json</c>, and what it has printed so far.</summary>
internal sealed class ChildRun : IDisposable
{
    private readonly Process _process;
    private readonly Task _reading;
    private readonly Task<string> _errors;
    private readonly TaskCompletionSource _started = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private long _committed;
    private long _lastAcknowledged;

    private ChildRun(Process process)
    {
        _process = process;
        _reading = ReadAsync();
        _errors = process.StandardError.ReadToEndAsync();
    }

    public int Id => _process.Id;

    /// <summary>Ends when the child's guest runs.</summary>
    public Task Started => _started.Task;

    /// <summary>Ends when the child's output has ended, because it was killed or went by itself.</summary>
    public Task OutputEnded => _reading;

    /// <summary>How many checkpoints the child has acknowledged.</summary>
    public long Committed => Interlocked.Read(ref _committed);

    /// <summary>The number of the last one; 0 before the first.</summary>
    public long LastAcknowledged => Interlocked.Read(ref _lastAcknowledged);

    /// <summary>Why the last round without a checkpoint had none.</summary>
    public string? LastObstacle { get; private set; }

    /// <summary>The guest's pauses; to be read when the output has ended.</summary>
    public PauseStatistics Pauses { get; } = new();

    /// <summary>Starts this program again.</summary>
    /// <param name="arguments">Its command line.</param>
    public static ChildRun Start(IEnumerable<string> arguments)
    {
        var start = new ProcessStartInfo { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        var assembly = typeof(ChildRun).Assembly.Location;
        var program = Environment.ProcessPath ?? "dotnet";
        if (Path.GetFileNameWithoutExtension(program) == Path.GetFileNameWithoutExtension(assembly) || assembly.Length == 0)
        {
            start.FileName = program;
        }
        else
        {
            // Started as "dotnet checkpoint.dll": the process is the runtime's, and it needs to be told what to run.
            start.FileName = program;
            start.ArgumentList.Add(assembly);
        }

        foreach (var argument in arguments)
            start.ArgumentList.Add(argument);
        return new ChildRun(Process.Start(start)!);
    }

    /// <summary>Kills the child with SIGKILL and waits until everything that it has printed is read.</summary>
    public async Task KillAsync()
    {
        _process.Kill();
        await _process.WaitForExitAsync().ConfigureAwait(false);
        await _reading.ConfigureAwait(false);
    }

    /// <summary>What the child said on standard error; to be asked when its output has ended.</summary>
    public Task<string> ErrorsAsync() => _errors;

    /// <summary>The child does not outlive the demonstration.</summary>
    public void Dispose()
    {
        if (!_process.HasExited)
            _process.Kill();
        _process.Dispose();
    }

    private async Task ReadAsync()
    {
        while (await _process.StandardOutput.ReadLineAsync().ConfigureAwait(false) is { } line)
        {
            try
            {
                using var json = JsonDocument.Parse(line);
                Take(json.RootElement);
            }
            catch (JsonException)
            {
                // A line that the kill has cut off acknowledges nothing.
            }
        }
    }

    private void Take(JsonElement line)
    {
        switch (line.GetProperty("event").GetString())
        {
            case "started":
                _started.TrySetResult();
                break;
            case "committed":
                Interlocked.Increment(ref _committed);
                Interlocked.Exchange(ref _lastAcknowledged, line.GetProperty("checkpoint").GetInt64());
                Pauses.Add(line.GetProperty("pause_us").GetInt64());
                break;
            case "aborted":
                LastObstacle = line.GetProperty("reason").GetString();
                break;
            default:
                break;
        }
    }
}
