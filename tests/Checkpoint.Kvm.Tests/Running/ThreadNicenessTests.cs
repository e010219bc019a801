using System.Globalization;
using Checkpoint.Kvm.Running;

namespace Checkpoint.Kvm.Tests.Running;

public sealed class ThreadNicenessTests
{
    private const int NiceInStat = 19; // proc(5), the stat file, counted from 1.

    [Fact]
    public void A_thread_that_goes_ahead_takes_none_of_those_it_starts_with_it()
    {
        (bool Taken, int Own, int Child) found = default;
        OnThread(() =>
        {
            found.Taken = ThreadNiceness.TryGoAhead(-5);
            found.Own = Niceness();
            OnThread(() => found.Child = Niceness());
        });
        // Where the process may not, nothing changes.
        Assert.Equal(found.Taken ? -5 : ThreadNiceness.OfProcess, found.Own);
        Assert.InRange(found.Child, Math.Min(0, ThreadNiceness.OfProcess), 19);
    }

    [Fact]
    public void The_process_has_the_value_of_a_thread_that_nobody_gave_another() =>
        Assert.Equal(OfFirstThread(), ThreadNiceness.OfProcess);

    private static int OfFirstThread() => Parse(File.ReadAllText("/proc/self/stat"));

    private static int Niceness() => Parse(File.ReadAllText("/proc/thread-self/stat"));

    // The second field, in brackets, may hold spaces.
    private static int Parse(string stat) =>
        int.Parse(stat[(stat.LastIndexOf(')') + 2)..].Split(' ')[NiceInStat - 3], CultureInfo.InvariantCulture);

    private static void OnThread(Action action)
    {
        var thread = new Thread(() => action());
        thread.Start();
        thread.Join();
    }
}
