using System.Diagnostics;
using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class GuestCodeTests
{
    [AssemblerFact]
    public void The_bytes_of_the_counter_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(string.Empty, "counter.S", "--64"), CounterCode.Bytes.ToArray());

    [AssemblerFact]
    public void The_bytes_of_the_ledger_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(string.Empty, "ledger.S", "--64"), LedgerCode.Bytes.ToArray());

    [AssemblerFact]
    public void The_bytes_of_the_timer_guest_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(string.Empty, "timer.S", "--64"), TimerCode.Bytes.ToArray());

    [AssemblerFact(AssemblerFactAttribute.Arm64Prefix)]
    public void The_bytes_of_the_arm64_counter_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(AssemblerFactAttribute.Arm64Prefix, "arm64/counter.S"), Arm64CounterCode.Bytes.ToArray());

    [AssemblerFact(AssemblerFactAttribute.Arm64Prefix)]
    public void The_bytes_of_the_arm64_ledger_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(AssemblerFactAttribute.Arm64Prefix, "arm64/ledger.S"), Arm64LedgerCode.Bytes.ToArray());

    [AssemblerFact(AssemblerFactAttribute.Arm64Prefix)]
    public void The_bytes_of_the_arm64_timer_guest_are_what_its_source_assembles_to() =>
        Assert.Equal(Assemble(AssemblerFactAttribute.Arm64Prefix, "arm64/timer.S"), Arm64TimerCode.Bytes.ToArray());

    [AssemblerFact(AssemblerFactAttribute.Arm64Prefix)]
    public void The_code_that_reads_the_counters_frequency_is_what_it_says()
    {
        var folder = Directory.CreateTempSubdirectory("guest-code");
        var source = Path.Combine(folder.FullName, "counter.S");
        File.WriteAllText(source, "mrs x0, cntfrq_el0\nret\n");
        Assert.Equal(Assemble(AssemblerFactAttribute.Arm64Prefix, source), Interop.CounterFrequency.Code.ToArray());
        folder.Delete(recursive: true);
    }

    [Fact]
    public void An_interrupt_of_the_arm64_timer_guest_is_taken_by_its_handler() =>
        Assert.Equal(0x280ul, Arm64TimerCode.Interrupted);

    [Fact]
    public void The_labels_cover_the_bytes()
    {
        Assert.Equal(CounterCode.CodeEnd, (ulong)CounterCode.Bytes.Length);
        Assert.Equal(LedgerCode.CodeEnd, (ulong)LedgerCode.Bytes.Length);
        Assert.Equal(TimerCode.CodeEnd, (ulong)TimerCode.Bytes.Length);
        Assert.Equal(Arm64TimerCode.CodeEnd, (ulong)Arm64TimerCode.Bytes.Length);
        Assert.True(CounterCode.CodeEnd <= 4096 && LedgerCode.CodeEnd <= 4096 && TimerCode.CodeEnd <= 4096);
    }

    [Fact]
    public void All_guests_speak_to_the_same_device()
    {
        Assert.Equal((CounterCode.SequencePort, CounterCode.ReportPort), (TimerCode.SequencePort, TimerCode.ReportPort));
        Assert.Equal(CounterCode.ReportEvery, TimerCode.ReportEvery);
        Assert.Equal((CounterCode.SequencePort, CounterCode.ReportPort), (LedgerCode.SequencePort, LedgerCode.ReportPort));
        Assert.Equal(CounterCode.ReportEvery, LedgerCode.ReportEvery);
        Assert.Equal((Arm64CounterCode.SequenceOffset, Arm64CounterCode.ReportOffset), (Arm64TimerCode.SequenceOffset, Arm64TimerCode.ReportOffset));
        Assert.Equal(1UL << LedgerToken.HopShift, LedgerCode.OneHop);
    }

    private static byte[] Assemble(string prefix, string source, params string[] options)
    {
        var folder = Directory.CreateTempSubdirectory("guest-code");
        try
        {
            var path = Path.Combine(folder.FullName, "guest");
            Run(prefix + "as", [.. options, "-o", path + ".o", Path.Combine(AssemblerFactAttribute.SourceFolder, source)]);
            Run(prefix + "objcopy", "-O", "binary", "-j", ".text", path + ".o", path + ".bin");
            return File.ReadAllBytes(path + ".bin");
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(program, arguments)
        {
            RedirectStandardError = true, UseShellExecute = false,
        })
            ?? throw new InvalidOperationException($"{program} did not start.");
        var complaint = process.StandardError.ReadToEnd();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {complaint}");
    }
}
