using Checkpoint.Kvm.Guests;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class TimerVerificationTests
{
    // The odd one, whose timer has a deadline.
    private const int Damaged = 1;

    public enum Width
    {
        Xmm,
        Ymm,
        Zmm,
    }

    [Fact]
    public void A_timer_guest_that_has_not_started_is_consistent()
    {
        var verdict = NewState(Width.Zmm).Verify();

        Assert.Empty(verdict.Failures);
        Assert.Equal([0UL, 0UL], verdict.Steps);
        Assert.Equal([0UL, 0UL], verdict.Ticks);
    }

    [Theory]
    [InlineData(Width.Xmm, 0)]
    [InlineData(Width.Ymm, 1)]
    [InlineData(Width.Zmm, 0)]
    [InlineData(Width.Zmm, 1)]
    public void A_timer_guest_is_consistent_at_every_instruction_of_its_loop_and_its_handlers(Width width, int vcpu)
    {
        var state = NewState(width);
        var walker = new TimerWalker(state, vcpu);
        walker.Begin();
        ulong steps = 0, ticks = 0;
        foreach (var label in Enumerable.Range(0, 7).SelectMany(_ => walker.Step()))
        {
            AssertSound(state, label);
            foreach (var handler in walker.Tick())
                AssertSound(state, handler);
            ticks++;
            steps += label == TimerCode.LoopStart ? 1UL : 0;
            Assert.Equal(ticks, state.Verify().Ticks[vcpu]);
        }

        Assert.Equal(7UL, steps);
        Assert.Equal(steps, state.Verify().Steps[vcpu]);
        Assert.True(state.Device[vcpu].Reports > 1, "no report was made");
    }

    public static TheoryData<int, string> Registers() => new()
    {
        { TimerWalker.Rbx, "rbx (x)" }, { TimerWalker.Rsi, "rsi (multiplier)" }, { TimerWalker.R8, "r8 (increment)" }, { TimerWalker.Rbp, "n in memory" },
        { TimerWalker.Rdi, "rdi (own page)" }, { TimerWalker.R9, "r9 (working area)" }, { TimerWalker.R10, "r10 (length of the working area)" },
        { TimerWalker.R11, "r11 (offset of the next page)" }, { TimerWalker.R12, "r12 (mark)" }, { TimerWalker.R13, "r13 (walk mask)" }, { TimerWalker.R14, "r14 (mark)" },
        { TimerWalker.R15, "r15 (width of the vectors)" }, { TimerWalker.Rsp, "rsp" }, { TimerWalker.Rflags, "rflags without the arithmetic flags" },
    };

    [Theory]
    [MemberData(nameof(Registers))]
    public void A_damaged_general_register_is_named(int register, string named)
    {
        var state = StateAfter(100, 20);

        state.Registers(Damaged)[register] ^= 1UL << 9;

        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Damaged}: {named} expected", StringComparison.Ordinal));
    }

    [Fact]
    public void A_damaged_lane_of_any_vector_is_named()
    {
        var state = StateAfter(100, 20);
        for (var register = 0; register < 32; register++)
        {
            for (var lane = 0; lane < 8; lane++)
            {
                var vectors = new TimerVectors(state.Program.Options, Damaged);
                var right = vectors.Lane(register, lane, 100);
                state.SetLane(Damaged, register, lane, right + 1);
                Assert.Equal($"vCPU {Damaged}: zmm{register} lane {lane} expected 0x{right:x}, found 0x{right + 1:x}", Assert.Single(state.Verify().Failures));
                state.SetLane(Damaged, register, lane, right);
            }
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(7)]
    public void A_damaged_mask_register_is_named(int register)
    {
        var state = StateAfter(100, 20);
        state.SetMask(Damaged, register, 0x777);
        Assert.StartsWith($"vCPU {Damaged}: k{register} expected 0x", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1, "zmm0 lane 0 expected")]
    [InlineData(2, "zmm15 lane 2 expected 0x64, found 0x0")]
    [InlineData(5, "k1 expected 0x64, found 0x0")]
    [InlineData(6, "zmm15 lane 4 expected 0x64, found 0x0")]
    [InlineData(7, "zmm31 lane 0 expected 0x64, found 0x0")]
    public void A_component_that_came_back_in_its_initial_state_is_named(int component, string named)
    {
        var state = StateAfter(100, 20);
        state.Xsave(Damaged)[512] &= (byte)~(1 << component);
        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Damaged}: {named}", StringComparison.Ordinal));
    }

    [Fact]
    public void An_xsave_area_without_the_upper_registers_is_named()
    {
        var state = StateAfter(100, 20);
        state.DropXsave(Damaged, TimerState.Wide.UpperRegistersOffset);
        Assert.Equal([$"vCPU {Damaged}: the XSAVE area is too short to hold the vector registers in use"], state.Verify().Failures);
    }

    [Theory]
    [InlineData(0, "dr0")]
    [InlineData(1, "dr1")]
    [InlineData(2, "dr2")]
    [InlineData(3, "dr3")]
    [InlineData(4, "dr6 (conditions met)")]
    [InlineData(5, "dr7")]
    public void A_damaged_debug_register_is_named(int register, string named)
    {
        var state = StateAfter(100, 20);
        state.Debug[Damaged][register] ^= 2;
        Assert.StartsWith($"vCPU {Damaged}: {named} expected 0x", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(TimerCode.PageOfX, "x in memory expected")]
    [InlineData(TimerCode.PageOfN, "n in memory expected 0x64, found 0x65")]
    [InlineData(TimerCode.PageOfTicks, "numbers given by the sequence device expected 0x15, found 0x14")]
    [InlineData(TimerCode.PageOfTraps, "traps of the breakpoint expected 0x14, found 0x15")]
    [InlineData(TimerCode.PageOfError, "error in memory expected 0x0, found 0x1")]
    [InlineData(TimerCode.PageOfWrongDebug, "bits of dr0 that the guest has read otherwise expected 0x0, found 0x1")]
    [InlineData(TimerCode.PageOfWrongDebug + 32, "bits of dr7 that the guest has read otherwise expected 0x0, found 0x1")]
    [InlineData(TimerCode.PageOfWrongDr6, "bits of dr6 that the guest has read otherwise expected 0x0, found 0x1")]
    public void A_damaged_word_of_the_own_page_is_named(ulong offset, string named)
    {
        var state = StateAfter(100, 20);
        var address = state.Program.OwnPage(Damaged) + offset;
        state.SetWord(address, state.Word(address) ^ 1);
        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Damaged}: {named}", StringComparison.Ordinal));
    }

    [Fact]
    public void A_tick_that_only_the_device_knows_of_is_named()
    {
        var state = StateAfter(100, 20);
        state.Device.TryRead(Damaged, SequenceDevice.SequencePort, new byte[4]);
        Assert.Equal($"vCPU {Damaged}: numbers given by the sequence device expected 0x14, found 0x15", Assert.Single(state.Verify().Failures));
    }

    [Theory]
    [InlineData(0, "lapic.tmict")]
    [InlineData(1, "IA32_TSC_DEADLINE")]
    public void A_vcpu_that_has_lost_its_armed_timer_is_named(int vcpu, string register)
    {
        var state = StateAfter(100, 20);
        state.Deadline(vcpu) = 0;
        state.Lapics[vcpu].AsSpan(0x380, 4).Clear();
        Assert.Contains(
            $"vCPU {vcpu}: no tick is armed, requested or being delivered: {register} is 0, so there will never be another", state.Verify().Failures, StringComparer.Ordinal);

        // As long as its last tick is on the way, none is lost: requested, or taken and not yet delivered.
        state.Lapics[vcpu][TimerState.Requested] = 1;
        Assert.DoesNotContain(state.Verify().Failures, failure => failure.Contains("no tick", StringComparison.Ordinal));
        state.Lapics[vcpu][TimerState.Requested] = 0;
        state.Lapics[vcpu][TimerState.InService] = 1;
        (state.Events[vcpu][8], state.Events[vcpu][9]) = (1, TimerApic.Vector);
        Assert.DoesNotContain(state.Verify().Failures, failure => failure.Contains("no tick", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(0xf0, "lapic.svr expected 0x1ff, found 0x1fe")]
    [InlineData(0x320, "lapic.lvtt expected 0x40040, found 0x40041")]
    [InlineData(0x3e0, "lapic.tdcr expected 0xb, found 0xa")]
    [InlineData(0x380, "lapic.tmict expected 0x0, found 0x1")]
    [InlineData(TimerState.InService, "lapic.isr of the timer's vector expected 0x0, found 0x1")]
    public void A_damaged_register_of_the_local_apic_is_named(int offset, string named)
    {
        var state = StateAfter(100, 20);
        state.Lapics[Damaged][offset] ^= 1;
        Assert.Equal($"vCPU {Damaged}: {named}", Assert.Single(state.Verify().Failures));
    }

    [Theory]
    [InlineData(0, "rbx (x)")]
    [InlineData(8, "cs in the interrupt's frame")]
    [InlineData(16, "rflags in the interrupt's frame without the arithmetic flags")]
    [InlineData(24, "rsp in the interrupt's frame")]
    [InlineData(32, "ss in the interrupt's frame")]
    public void A_damaged_frame_on_the_handlers_stack_is_named(int offset, string named)
    {
        var state = StateAfter(100, 20);
        var walker = new TimerWalker(state, Damaged);
        foreach (var label in walker.Tick())
        {
            if (label == TimerCode.TickTaken)
                break;
        }

        Assert.Empty(state.Verify().Failures);
        var address = state.Program.StackTop(Damaged) - 40 + (ulong)offset;
        state.SetWord(address, offset == 0 ? state.Program.CodeStart + TimerCode.XInRegister : state.Word(address) ^ 0x200);
        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Damaged}: {named} expected", StringComparison.Ordinal));
    }

    [Fact]
    public void A_rip_outside_of_the_code_and_one_behind_the_handlers_are_named()
    {
        var state = StateAfter(100, 20);
        state.Registers(Damaged)[TimerWalker.Rip] = 0;
        Assert.StartsWith($"vCPU {Damaged}: rip expected in the code from 0x1000", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
        state.Registers(Damaged)[TimerWalker.Rip] = state.Program.CodeStart + TimerCode.Stopped;
        Assert.Equal($"vCPU {Damaged}: stopped at a wrong number from the sequence port: expected 0, found 0", Assert.Single(state.Verify().Failures));
    }

    [Theory]
    [InlineData(StateIds.X64DebugRegs, "the state has no debug registers")]
    [InlineData(StateIds.X64Lapic, "the state has no local APIC or no pending events")]
    [InlineData(StateIds.X64VcpuEvents, "the state has no local APIC or no pending events")]
    public void A_state_without_what_the_guest_is_about_is_named(ulong id, string named)
    {
        var state = StateAfter(100, 20);
        state.LeftOut.Add(id);
        Assert.Equal([$"vCPU 0: {named}", $"vCPU 1: {named}"], state.Verify().Failures);
    }

    [Fact]
    public void A_vcpu_whose_ticks_have_ended_has_not_gone_on()
    {
        var state = StateAfter(100, 20);
        var checkpoint = state.Verify();
        foreach (var vcpu in (int[])[0, Damaged])
            new TimerWalker(state, vcpu).Ticks(vcpu == Damaged ? 0 : 1);
        var later = state.Verify() with { Steps = [1000, 1000] };
        Assert.Equal([$"vCPU {Damaged}: ticks expected above 20, found 20"], later.FailuresSince(checkpoint));
    }

    private static void AssertSound(TimerState state, ulong label) =>
        Assert.True(state.Verify().Ok, $"at 0x{label:x}: {string.Join("; ", state.Verify().Failures)}");

    private static TimerState NewState(Width width) => new(new TimerProgram(
        new GuestOptions
        {
            Vcpus = 2, MemoryBytes = 1 << 20, Seed = 5, UseYmm = width != Width.Xmm, UseZmm = width == Width.Zmm, UseTscDeadline = true, WriteEverySteps = 2, WorkingPages = 3,
        },
        TimerState.Wide));

    private static TimerState StateAfter(int steps, int ticks)
    {
        var state = NewState(Width.Zmm);
        for (var vcpu = 0; vcpu < 2; vcpu++)
        {
            var walker = new TimerWalker(state, vcpu);
            walker.Begin();
            walker.Ticks(ticks);
            walker.Steps(steps);
        }

        Assert.Empty(state.Verify().Failures);
        return state;
    }
}
