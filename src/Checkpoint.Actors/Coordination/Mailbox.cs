using System.Threading.Channels;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The queue of an actor that takes one message at a time, on a thread of its own. Handing a message over wakes that thread,
/// which costs some microseconds twice in a pause; running the actor on the posting thread would save them, but then the vCPU
/// whose report was the last would wake the others and go on computing, and where processors are few one of those would wait
/// for a whole time slice behind it. A thread that sleeps again at once leaves its processor to the guest.
/// </summary>
internal sealed class Mailbox<TMessage>
{
    private readonly Channel<TMessage> _channel = Channel.CreateUnbounded<TMessage>(new UnboundedChannelOptions { SingleReader = true });
    private readonly WakeSignal _wake = new();

    /// <summary>Puts a message behind those that wait.</summary>
    /// <returns>False after <see cref="Close"/>: the message is dropped.</returns>
    public bool Post(TMessage message)
    {
        var isTaken = _channel.Writer.TryWrite(message);
        _wake.Set();
        return isTaken;
    }

    /// <summary>Takes no more messages; those that wait are still handled.</summary>
    public void Close()
    {
        _channel.Writer.TryComplete();
        _wake.Set();
    }

    /// <summary>Hands the messages over, one after another, until the mailbox is closed.</summary>
    /// <param name="handle">Takes one message.</param>
    /// <param name="name">The thread's name.</param>
    /// <returns>Ends with the thread; fails with what <paramref name="handle"/> threw.</returns>
    public Task RunAsync(Action<TMessage> handle, string name)
    {
        var ended = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var thread = new Thread(() =>
        {
            try
            {
                while (!_channel.Reader.Completion.IsCompleted)
                {
                    while (_channel.Reader.TryRead(out var message))
                        handle(message);
                    if (!_channel.Reader.Completion.IsCompleted)
                        _wake.Wait();
                }

                ended.SetResult();
            }
            catch (Exception failure)
            {
                ended.SetException(failure);
            }
        })
        { IsBackground = true, Name = name };
        thread.Start();
        return ended.Task;
    }
}
