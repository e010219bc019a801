using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class CounterVerificationTests
{
    private const int Damaged = 1;

    [Fact]
    public void A_counter_that_has_not_started_is_consistent()
    {
        var verdict = NewState(ymm: true).Verify();

        Assert.Empty(verdict.Failures);
        Assert.Equal([0UL, 0UL], verdict.Steps);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_counter_is_consistent_at_every_instruction_that_changes_something(bool ymm)
    {
        var state = NewState(ymm);
        var walker = Begin(state);

        for (var step = 0; step < 150; step++)
        {
            foreach (var rip in walker.Step())
            {
                Assert.True(state.Verify().Ok, $"step {step}, offset 0x{rip:x}: {string.Join("; ", state.Verify().Failures)}");
            }

            Assert.Equal((ulong)step + 1, state.Verify().Steps[Damaged]);
        }
    }

    [Fact]
    public void A_rip_of_another_instruction_does_not_fit_the_state()
    {
        var state = NewState(ymm: true);
        var walker = Begin(state);
        walker.Steps(31); // The step after these writes a page and reads the port.
        foreach (var rip in walker.Step())
        {
            if (rip == CounterCode.SequenceTaken)
            {
                break;
            }
        }

        ulong[] others =
        [
            CounterCode.LoopStart, CounterCode.XInRegister, CounterCode.NInRegister, CounterCode.NInX87, CounterCode.NInYmm,
            CounterCode.XInMemory, CounterCode.NInMemory, CounterCode.PageWritten, CounterCode.PageAdvanced, CounterCode.SequenceCounted,
        ];
        foreach (var other in others)
        {
            state[Damaged] = state[Damaged] with { Rip = state.Program.CodeStart + other };
            Assert.NotEmpty(state.Verify().Failures);
        }
    }

    public static TheoryData<string, Func<GeneralRegisters, GeneralRegisters>> RegisterDamage() => new()
    {
        { "rbx (x) expected", r => r with { Rbx = r.Rbx ^ 1 } },
        { "n in memory expected", r => r with { Rbp = r.Rbp + 1 } },
        { "rsi (multiplier) expected", r => r with { Rsi = 0 } },
        { "rdi (own page) expected", r => r with { Rdi = r.Rdi - 4096 } },
        { "r8 (increment) expected", r => r with { R8 = 0 } },
        { "r9 (working area) expected", r => r with { R9 = 0 } },
        { "r10 (length of the working area) expected", r => r with { R10 = 0 } },
        { "r11 (offset of the next page) expected", r => r with { R11 = r.R11 ^ 4096 } },
        { "r12 (numbers taken) expected", r => r with { R12 = r.R12 + 1 } },
        { "r13 (walk mask) expected", r => r with { R13 = 0 } },
        { "r14 (exit mask) expected", r => r with { R14 = 0 } },
        { "r15 (width of the vectors) expected", r => r with { R15 = 0 } },
        { "rip expected in the code", r => r with { Rip = 0 } },
        { "rflags without the arithmetic flags expected", r => r with { Rflags = 0x202 } },
    };

    [Theory]
    [MemberData(nameof(RegisterDamage), DisableDiscoveryEnumeration = true)]
    public void A_damaged_general_register_is_named(string named, Func<GeneralRegisters, GeneralRegisters> damage)
    {
        var state = StateAfter(100);

        state[Damaged] = damage(state[Damaged]);

        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Damaged}: {named}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(32, "st(0) (n) expected 0x64, found")]
    [InlineData(4, "st(0) (n) expected 0x64, found no whole number")]
    [InlineData(48, "st(1) (one) expected 0x1, found no whole number")]
    [InlineData(160 + (16 * 15), "ymm15 lane 0 (n) expected 0x64, found 0x65")]
    [InlineData(160 + (16 * 15) + 8, "ymm15 lane 1 (n) expected 0x64, found 0x65")]
    [InlineData(576 + (16 * 15), "ymm15 lane 2 (n) expected 0x64, found 0x65")]
    [InlineData(576 + (16 * 15) + 8, "ymm15 lane 3 (n) expected 0x64, found 0x65")]
    [InlineData(160 + (16 * 14), "ymm14 lane 0 (one) expected 0x1, found 0x0")]
    public void A_damaged_byte_of_the_xsave_area_is_named(int offset, string named)
    {
        var state = StateAfter(100);

        state.Xsave(Damaged)[offset] = offset == 4 ? (byte)0b1000_0000 : (byte)(state.Xsave(Damaged)[offset] ^ 1);

        var failure = Assert.Single(state.Verify().Failures);
        Assert.StartsWith($"vCPU {Damaged}: {named}", failure, StringComparison.Ordinal);
    }

    [Fact]
    public void A_component_that_the_header_calls_initial_counts_as_zero()
    {
        var state = StateAfter(100);

        state.Xsave(Damaged)[512] = 0b011;

        Assert.Contains($"vCPU {Damaged}: ymm15 lane 2 (n) expected 0x64, found 0x0", state.Verify().Failures, StringComparer.Ordinal);
    }

    [Fact]
    public void An_xsave_area_without_the_high_halves_is_named()
    {
        var state = StateAfter(100);

        state.DropXsave(Damaged, 512);

        Assert.Contains("too short to hold the vector registers", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(CounterCode.PageOfX, "x in memory expected")]
    [InlineData(CounterCode.PageOfN, "n in memory expected 0x64, found 0x65")]
    [InlineData(CounterCode.PageOfCount, "numbers taken in memory expected 0x32, found 0x33")]
    [InlineData(CounterCode.PageOfError, "error in memory expected 0x0, found 0x1")]
    public void A_damaged_word_of_the_own_page_is_named(ulong offset, string named)
    {
        var state = StateAfter(100);
        var address = ((CounterProgram)state.Program).OwnPage(Damaged) + offset;

        state.SetWord(address, state.Word(address) ^ 1);

        Assert.StartsWith($"vCPU {Damaged}: {named}", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Fact]
    public void A_stale_working_page_is_named_with_its_address()
    {
        var state = StateAfter(100);
        var address = ((CounterProgram)state.Program).WorkingArea(Damaged) + 4096;

        state.SetWord(address, state.Word(address) - 6); // What the page held one turn of the walk before.

        Assert.Equal(
            $"vCPU {Damaged}: 1 of 3 working pages wrong, first at 0x{address:x}: expected 0x{100:x}, found 0x{100 - 6:x}",
            Assert.Single(state.Verify().Failures));
    }

    [Fact]
    public void A_number_lost_between_the_device_and_the_vcpu_is_named()
    {
        var state = StateAfter(100);

        state.Device.TryRead(Damaged, SequenceDevice.SequencePort, new byte[4]);

        Assert.Equal(
            $"vCPU {Damaged}: numbers given by the sequence device expected 0x32, found 0x33",
            Assert.Single(state.Verify().Failures));
    }

    [Fact]
    public void A_report_that_came_twice_is_named()
    {
        var state = StateAfter(64);

        state.Device.TryWrite(Damaged, SequenceDevice.ReportPort, BitConverter.GetBytes(32U));

        Assert.Contains($"vCPU {Damaged}: reports that did not fit expected 0x0, found 0x1", state.Verify().Failures, StringComparer.Ordinal);
    }

    [Fact]
    public void A_vcpu_that_stopped_at_a_wrong_number_is_named_with_both_numbers()
    {
        var state = StateAfter(100);
        var page = ((CounterProgram)state.Program).OwnPage(Damaged);
        state.SetWord(page + CounterCode.PageOfExpected, 51);
        state.SetWord(page + CounterCode.PageOfFound, 52);

        state[Damaged] = state[Damaged] with { Rip = state.Program.CodeStart + CounterCode.Stopped };

        Assert.Equal(
            $"vCPU {Damaged}: stopped at a wrong number from the sequence port: expected 51, found 52",
            Assert.Single(state.Verify().Failures));
    }

    [Fact]
    public void Registers_given_to_the_wrong_vcpu_are_named()
    {
        var state = StateAfter(100);

        (state[0], state[Damaged]) = (state[Damaged], state[0]);

        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith("vCPU 0: rdi (own page)", StringComparison.Ordinal));
    }

    private static GuestState NewState(bool ymm) => new(X64GuestProgram.Create(
        GuestKind.Counter,
        new GuestOptions
        {
            Vcpus = 2, MemoryBytes = 1 << 20, Seed = 5, UseYmm = ymm, ExitEverySteps = 2, WriteEverySteps = 2, WorkingPages = 3,
        }));

    private static CounterWalker Begin(GuestState state)
    {
        var walker = new CounterWalker(state, Damaged);
        walker.Begin();
        return walker;
    }

    private static GuestState StateAfter(int steps)
    {
        var state = NewState(ymm: true);
        Begin(state).Steps(steps);
        Assert.Empty(state.Verify().Failures);
        return state;
    }
}
