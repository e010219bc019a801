using System.Threading.Channels;

namespace Checkpoint.Actors.Coordination;

/// <summary>
/// The queue of an actor that takes one message at a time. Whoever posts to an actor that has nothing to do runs it at once,
/// on its own thread: between the last vCPU's report and the next order to all of them no thread has to be woken. So the
/// actor must not block.
/// </summary>
internal sealed class Mailbox<TMessage>
{
    private readonly Channel<TMessage> _channel = Channel.CreateUnbounded<TMessage>(
        new UnboundedChannelOptions { SingleReader = true, AllowSynchronousContinuations = true });

    /// <summary>Puts a message behind those that wait.</summary>
    /// <returns>False after <see cref="Close"/>: the message is dropped.</returns>
    public bool Post(TMessage message) => _channel.Writer.TryWrite(message);

    /// <summary>Takes no more messages; those that wait are still handled.</summary>
    public void Close() => _channel.Writer.TryComplete();

    /// <summary>Hands the messages over, one after another, until the mailbox is closed.</summary>
    public async Task RunAsync(Action<TMessage> handle)
    {
        while (await _channel.Reader.WaitToReadAsync().ConfigureAwait(false))
        {
            while (_channel.Reader.TryRead(out var message))
                handle(message);
        }
    }
}
