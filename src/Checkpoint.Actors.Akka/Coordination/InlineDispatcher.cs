using Akka.Configuration;
using Akka.Dispatch;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>Makes <see cref="InlineDispatcher"/>; <c>checkpoint.dispatcher.type</c> names it.</summary>
public sealed class InlineDispatcherConfigurator : MessageDispatcherConfigurator
{
    private readonly InlineDispatcher _dispatcher;

    /// <summary>Makes the dispatcher of a section.</summary>
    public InlineDispatcherConfigurator(Config config, IDispatcherPrerequisites prerequisites)
        : base(config, prerequisites) => _dispatcher = new InlineDispatcher(this, config.GetString("id"), config.GetInt("throughput"));

    /// <inheritdoc/>
    public override MessageDispatcher Dispatcher() => _dispatcher;
}

/// <summary>
/// Has no threads: whoever tells an actor that has nothing to do runs it at once, on its own thread, as the built-in host's
/// mailbox does. Between the last vCPU's report and the next order to all of them no thread has to be woken, and none waits for a
/// processor behind the guests. So the actors on it must not block.
/// </summary>
internal sealed class InlineDispatcher : MessageDispatcher
{
    // What this thread is to run next, while it runs something: one actor after another, never one inside another.
    [ThreadStatic]
    private static Queue<IRunnable>? t_next;

    [ThreadStatic]
    private static bool t_isRunning;

    public InlineDispatcher(MessageDispatcherConfigurator configurator, string id, int throughput)
        : base(configurator)
    {
        Id = id;
        Throughput = throughput;
    }

    protected override void ExecuteTask(IRunnable run)
    {
        var next = t_next ??= new Queue<IRunnable>(capacity: 64);
        next.Enqueue(run);
        if (t_isRunning)
            return;
        t_isRunning = true;
        try
        {
            while (next.TryDequeue(out var each))
                each.Run();
        }
        finally
        {
            t_isRunning = false;
        }
    }

    protected override void Shutdown()
    {
        // There are no threads to end.
    }
}
