namespace Checkpoint.Kvm.Guests;

/// <summary>What the counter of every architecture is laid out by.</summary>
/// <param name="ExitEvery">Steps between two reads of the sequence device, a power of two.</param>
/// <param name="WriteEvery">Steps between two page writes, a power of two.</param>
/// <param name="WorkingPages">How many pages each vCPU writes in turn.</param>
internal sealed record CounterShape(ulong ExitEvery, ulong WriteEvery, ulong WorkingPages)
{
    private const ulong DefaultExitEverySteps = 1UL << 19;
    private const ulong DefaultWriteEverySteps = 1UL << 15;
    private const int DefaultWorkingPages = 256;
    private const ulong PageBytes = PageTables.PageBytes;

    /// <summary>The shape of a counter, from its options and the memory that it has.</summary>
    /// <exception cref="ArgumentOutOfRangeException">It can't have this shape.</exception>
    public static CounterShape Of(GuestProgram program)
    {
        var options = program.Options;
        var exitEvery = StepFunction.Interval(options.ExitEverySteps ?? DefaultExitEverySteps, nameof(options.ExitEverySteps));
        var writeEvery = StepFunction.Interval(
            options.WriteEverySteps ?? Math.Min(DefaultWriteEverySteps, exitEvery), nameof(options.WriteEverySteps));
        if (writeEvery > exitEvery)
        {
            throw new ArgumentOutOfRangeException(
                nameof(program), writeEvery, $"Pages are written at least as often as the device is read: {exitEvery} steps.");
        }

        var vcpus = (ulong)options.Vcpus;
        program.RequireMemory(program.FirstFreePage + (vcpus * (ulong)Math.Max(1, options.WorkingPages ?? 1) * PageBytes));
        var room = (Math.Min(options.MemoryBytes, program.HighestAddress) - program.FirstFreePage) / PageBytes / vcpus;
        var pages = (ulong)(options.WorkingPages ?? (int)Math.Min(DefaultWorkingPages, room));
        return pages == 0 || pages > room
            ? throw new ArgumentOutOfRangeException(nameof(program), pages, $"A vCPU of this guest has room for 1 to {room} working pages.")
            : new CounterShape(exitEvery, writeEvery, pages);
    }

    /// <summary>Each write goes to the next page and leaves n there, so page and content follow from n.</summary>
    /// <param name="findings">Takes a failure for all wrong pages together.</param>
    /// <param name="read">Reads the memory.</param>
    /// <param name="area">The address of the first page.</param>
    /// <param name="writes">How many pages have been written.</param>
    public void CheckPages(Findings findings, ReadGuestMemory read, ulong area, ulong writes)
    {
        var wrong = 0UL;
        string? first = null;
        for (var index = 0UL; index < WorkingPages; index++)
        {
            var latest = writes > index ? writes - ((writes - 1 - index) % WorkingPages) : 0;
            var address = area + (index * PageBytes);
            var found = GuestProgram.Word(read, address);
            if (found != latest * WriteEvery)
            {
                wrong++;
                first ??= $"first at 0x{address:x}: expected 0x{latest * WriteEvery:x}, found 0x{found:x}";
            }
        }

        if (first is not null)
        {
            findings.Add($"{wrong} of {WorkingPages} working pages wrong, {first}");
        }
    }
}
