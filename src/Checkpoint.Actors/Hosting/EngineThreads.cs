using System.Security.Cryptography;

namespace Checkpoint.Actors.Hosting;

/// <summary>A thread of its own for each activity, and the pool for the rest.</summary>
internal sealed class EngineThreads : IEngineThreads
{
    private EngineThreads()
    {
    }

    /// <summary>The one that there is.</summary>
    public static EngineThreads Own { get; } = new();

    public TaskCreationOptions Completion => TaskCreationOptions.RunContinuationsAsynchronously;

    public IActivityThread For(IActivity activity) => new ActivityThread(activity);

    public IParticipantListener ReportsTo(IParticipantListener listener) => listener;

    public void Run(Func<Task> work) => _ = Task.Run(work);

    public void FillRandom(Span<byte> bytes) => RandomNumberGenerator.Fill(bytes);

    private sealed class ActivityThread(IActivity activity) : IActivityThread
    {
        private readonly Thread _thread = new(activity.Run) { IsBackground = true, Name = activity.Name };

        public void Start() => _thread.Start();

        public void Wake() => activity.Signal?.Set();
    }
}
