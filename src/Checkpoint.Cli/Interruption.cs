using System.Runtime.InteropServices;

namespace Checkpoint.Cli;

/// <summary>Turns SIGINT, SIGTERM and SIGHUP (the terminal was closed) into a cancellation.</summary>
internal sealed class Interruption : IDisposable
{
    private readonly CancellationTokenSource _source = new();
    private readonly PosixSignalRegistration[] _registrations;

    public Interruption() =>
        _registrations = [.. new[] { PosixSignal.SIGINT, PosixSignal.SIGTERM, PosixSignal.SIGHUP }.Select(signal => PosixSignalRegistration.Create(signal, Stop))];

    public CancellationToken Token => _source.Token;

    public void Dispose()
    {
        foreach (var registration in _registrations)
            registration.Dispose();
        _source.Dispose();
    }

    private void Stop(PosixSignalContext signal)
    {
        // Whoever asks twice does not want to wait for the round in flight.
        signal.Cancel = !_source.IsCancellationRequested;
        _source.Cancel();
    }
}
