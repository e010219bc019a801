using System.Text;
using Checkpoint.Cli.Output;

namespace Checkpoint.Cli.Tests.Output;

public class LineQueueTests
{
    [Fact]
    public async Task Lines_are_written_in_their_order_and_all_of_them()
    {
        using var writer = new StringWriter();
        var queue = new LineQueue(writer, TimeProvider.System);
        for (var i = 0; i < 1000; i++)
            queue.Add($"{i}\n");
        await queue.CompleteAsync();
        Assert.Equal(string.Concat(Enumerable.Range(0, 1000).Select(i => $"{i}\n")), writer.ToString());
    }

    [Fact]
    public async Task A_reader_who_does_not_read_holds_nobody_up_and_is_told_of_in_the_end()
    {
        using var writer = new StuckWriter();
        var queue = new LineQueue(writer, TimeProvider.System);
        queue.Add("first\n");
        queue.Add("second\n");
        var failure = await Assert.ThrowsAsync<CommandException>(queue.CompleteAsync);
        Assert.Equal(ExitCode.Failed, failure.ExitCode);
        Assert.Contains("not read", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void More_lines_than_can_wait_end_the_run()
    {
        using var writer = new StuckWriter();
        var queue = new LineQueue(writer, TimeProvider.System);
        var failure = Assert.Throws<CommandException>(() =>
        {
            for (var i = 0; i < 100_000; i++)
                queue.Add("line\n");
        });
        Assert.Contains("not read", failure.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Lines_that_cannot_be_written_fail_with_the_reason()
    {
        using var writer = new FullWriter();
        var queue = new LineQueue(writer, TimeProvider.System);
        queue.Add("line\n");
        var failure = await Assert.ThrowsAsync<CommandException>(queue.CompleteAsync);
        Assert.Contains("No space left", failure.Message, StringComparison.Ordinal);
    }

    private sealed class StuckWriter : TextWriter
    {
        private readonly TaskCompletionSource _never = new();

        public override Encoding Encoding => Encoding.UTF8;

        public override Task WriteAsync(string? value) => _never.Task;
    }

    private sealed class FullWriter : TextWriter
    {
        public override Encoding Encoding => Encoding.UTF8;

        public override Task WriteAsync(string? value) => Task.FromException(new IOException("No space left on device"));
    }
}
