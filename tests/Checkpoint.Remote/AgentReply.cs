using System.Buffers.Binary;

namespace Checkpoint.Remote;

/// <summary>What the agent answered: a result for each operation up to the first that failed.</summary>
internal sealed class AgentReply
{
    private readonly List<long> _results = [];
    private readonly List<ReadOnlyMemory<byte>> _bytes = [];

    /// <param name="results">What follows the status in a reply.</param>
    /// <param name="fetched">For each operation of the request how many bytes it asked for.</param>
    /// <exception cref="InvalidDataException">It is not what such a request is answered with.</exception>
    internal AgentReply(ReadOnlyMemory<byte> results, IReadOnlyList<int> fetched)
    {
        while (!results.IsEmpty)
        {
            if (_results.Count == fetched.Count || results.Length < sizeof(long))
                throw new InvalidDataException("The agent's reply is longer than its request asked for.");
            var result = BinaryPrimitives.ReadInt64LittleEndian(results.Span);
            results = results[sizeof(long)..];
            var bytes = result < 0 ? 0 : fetched[_results.Count];
            if (bytes > results.Length)
                throw new InvalidDataException("The agent's reply is shorter than it says.");
            _results.Add(result);
            _bytes.Add(results[..bytes]);
            results = results[bytes..];
        }
    }

    /// <summary>The error number of the operation that failed; 0 where none did.</summary>
    internal int Errno => _results.Count > 0 && _results[^1] < 0 ? (int)-_results[^1] : 0;

    /// <summary>The place of the last operation that was done or failed.</summary>
    internal int Last => _results.Count - 1;

    /// <summary>An operation's result.</summary>
    /// <param name="place">The operation's place in the request.</param>
    internal long this[int place] => place < _results.Count
        ? _results[place]
        : throw new InvalidDataException("The agent did less than it was asked for.");

    /// <summary>What an operation fetched.</summary>
    internal ReadOnlySpan<byte> Bytes(int place) => this[place] < 0 ? [] : _bytes[place].Span;
}
