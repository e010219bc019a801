using System.Collections.Immutable;
using Checkpoint.Actors.Hosting;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors;

/// <summary>A machine that runs without checkpoints: a copy brought back to be looked at.</summary>
public sealed class DetachedMachine : IAsyncDisposable, IParticipantListener
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(5);
    private static readonly TimeSpan s_journalPatience = TimeSpan.FromSeconds(30);

    private readonly MachineHost _host;
    private readonly TimeProvider _time;
    private readonly TaskCompletionSource<string?> _ended;
    private readonly TaskCompletionSource _stopping;

    internal DetachedMachine(MachineAttachment attachment, Task<bool> recorded, TimeProvider time, IEngineThreads threads)
    {
        Recorded = recorded;
        _time = time;
        _ended = new TaskCompletionSource<string?>(threads.Completion);
        _stopping = new TaskCompletionSource(threads.Completion);
        _host = new MachineHost(attachment, this, threads, takesCheckpoints: false);
        _host.Start();
    }

    /// <summary>
    /// Whether the restore stands in its machine's journal: it does not where another process holds that machine. It is written while the
    /// guest runs; <see cref="StopAsync"/> waits for it, half a minute at most.
    /// </summary>
    public Task<bool> Recorded { get; }

    /// <summary>Ends when the machine begins to be stopped.</summary>
    internal Task Stopping => _stopping.Task;

    /// <summary>Ends, with the reason, when a vCPU has ended by itself; with null when the machine has been stopped and all have.</summary>
    public Task<string?> ParticipantEnded => _ended.Task;

    /// <summary>Who had not ended when <see cref="StopAsync"/> gave up waiting; a vCPU's registers cannot be read meanwhile.</summary>
    public ImmutableArray<string> LeftBehind { get; private set; } = [];

    /// <summary>
    /// Drives one vCPU on the calling thread; returns when the vCPU has ended. For attachments with
    /// <see cref="MachineAttachment.EmbedderDrivesVcpus"/>; one thread for each vCPU, each called once.
    /// </summary>
    /// <param name="vcpu">The vCPU's index.</param>
    public void DriveVcpu(int vcpu) => _host.DriveVcpu(vcpu);

    /// <summary>Lets the guest run.</summary>
    public void Start() => _host.RunGuest();

    /// <summary>Stops the vCPUs with no IO pending; the machine's registers and memory can be read afterwards.</summary>
    public async Task StopAsync()
    {
        _stopping.TrySetResult();
        LeftBehind = await _host.StopAsync(s_patience, _time).ConfigureAwait(false);
        _ended.TrySetResult(LeftBehind is [var first, ..] ? $"{first} has not stopped within {(long)s_patience.TotalMilliseconds} ms" : null);
        // A journal that hangs must not keep whoever stops.
        await ((Task)Recorded.WaitAsync(s_journalPatience, _time)).ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync() => await StopAsync().ConfigureAwait(false);

    void IParticipantListener.Hear(CoordinatorInput report)
    {
        if (report is CoordinatorInput.ParticipantGone { WasAskedTo: false } gone)
            _ended.TrySetResult($"{_host.Participants[gone.Participant].Name} {gone.Failure.Reason}");
    }
}
