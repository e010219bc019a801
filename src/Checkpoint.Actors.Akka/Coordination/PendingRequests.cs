using System.Collections.Concurrent;
using Checkpoint.Protocol.Coordination;

namespace Checkpoint.Actors.Akka.Coordination;

/// <summary>Who has asked the coordinator for something, and what of it no life of its actor has seen yet.</summary>
internal sealed class PendingRequests
{
    private readonly ConcurrentDictionary<long, TaskCompletionSource<CoordinatorReply>> _callers = new();
    private readonly ConcurrentDictionary<long, CoordinatorInput.Request> _unhandled = new();
    private long _last;

    /// <summary>What no life has seen, in the order in which it was asked.</summary>
    public IEnumerable<CoordinatorInput.Request> Unhandled => _unhandled.OrderBy(each => each.Key).Select(each => each.Value);

    /// <summary>One more; the task ends with the answer.</summary>
    public Task<CoordinatorReply> Add(Func<long, CoordinatorInput.Request> request, out CoordinatorInput.Request input)
    {
        var id = Interlocked.Increment(ref _last);
        var caller = new TaskCompletionSource<CoordinatorReply>(TaskCreationOptions.RunContinuationsAsynchronously);
        _callers[id] = caller;
        _unhandled[id] = input = request(id);
        return caller.Task;
    }

    /// <summary>
    /// Whether it is seen for the first time: a request may come twice, from its caller, and again when a new life takes over what
    /// the one before had not seen.
    /// </summary>
    public bool TryTake(CoordinatorInput.Request request) => _unhandled.TryRemove(request.RequestId, out _);

    public void Answer(CoordinatorEffect.Reply reply)
    {
        if (_callers.TryRemove(reply.RequestId, out var caller))
            caller.TrySetResult(reply.Answer);
    }

    public void Refuse(CoordinatorInput.Request request, Refusal obstacle) =>
        Answer(new CoordinatorEffect.Reply(request.RequestId, new CoordinatorReply.Refused(obstacle)));

    public void RefuseAll(Refusal obstacle) => EndAll(caller => caller.TrySetResult(new CoordinatorReply.Refused(obstacle)));

    public void FailAll(Exception failure) => EndAll(caller => caller.TrySetException(failure));

    private void EndAll(Action<TaskCompletionSource<CoordinatorReply>> end)
    {
        foreach (var id in _callers.Keys)
        {
            if (_callers.TryRemove(id, out var caller))
                end(caller);
        }
    }
}
