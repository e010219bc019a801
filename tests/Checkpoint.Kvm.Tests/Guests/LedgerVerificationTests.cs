using Checkpoint.Kvm.Guests;
using Xunit;

namespace Checkpoint.Kvm.Tests.Guests;

public sealed class LedgerVerificationTests
{
    private const ulong Seed = 11;
    private const int Vcpu = 1;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(64)]
    public void A_ledger_that_has_not_started_is_consistent(int vcpus)
    {
        var verdict = NewState(vcpus).Verify();

        Assert.Empty(verdict.Failures);
        Assert.Equal(vcpus, verdict.Steps.Count);
        Assert.Equal((4 * vcpus) + 3, verdict.TokenHops.Count);
    }

    [Fact]
    public void A_ledger_is_consistent_at_every_instruction_that_changes_something()
    {
        var state = NewState(2);
        var walker = new LedgerWalker(state, Vcpu);
        for (var step = 0; step < 150; step++)
        {
            foreach (var rip in walker.Step())
            {
                Assert.True(state.Verify().Ok, $"step {step}, offset 0x{rip:x}: {string.Join("; ", state.Verify().Failures)}");
            }
        }

        Assert.Equal(150UL, state.Verify().Steps[Vcpu]);
        Assert.Equal(state[Vcpu].Rbp, state.Verify().Hops);
        Assert.True(state.Verify().Hops > 20);
    }

    [Fact]
    public void A_token_missing_from_memory_and_registers_is_named()
    {
        var state = StateAfter(100);
        var number = LedgerToken.Number(Seed, 11, state[Vcpu].R12);

        state[Vcpu] = state[Vcpu] with { R12 = 0 };

        Assert.Contains($"token {number}: expected in one place, found in no slot and no register", state.Verify().Failures, StringComparer.Ordinal);
    }

    [Fact]
    public void A_token_in_two_places_is_named_with_both()
    {
        var state = NewState(2);
        var program = (LedgerProgram)state.Program;

        state[Vcpu] = state[Vcpu] with { R13 = state.Word(program.SlotAddress(4)) };

        Assert.Equal(
            $"token 5: expected in one place, found in slot 4 at 0x{program.SlotAddress(4):x} and r13 of vCPU {Vcpu}",
            Assert.Single(state.Verify().Failures));
    }

    [Fact]
    public void A_value_that_is_no_token_of_this_guest_is_named()
    {
        var state = NewState(2);
        state[0] = state[0] with { R15 = LedgerToken.Identity(Seed, 3) ^ 0x200 };

        Assert.StartsWith("r15 of vCPU 0: expected a token or 0, found 0x", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Fact]
    public void A_hop_that_the_token_lost_is_found_though_the_token_is_there()
    {
        var state = StateAfter(100);
        var hops = state[Vcpu].Rbp;

        state[Vcpu] = state[Vcpu] with { R12 = state[Vcpu].R12 - LedgerCode.OneHop };

        Assert.Equal(
            $"hops of all tokens expected {hops} as raised by the vCPUs, found {hops - 1}",
            Assert.Single(state.Verify().Failures));
    }

    public static TheoryData<string, Func<GeneralRegisters, GeneralRegisters>> RegisterDamage() => new()
    {
        { "r8 (random number) expected", r => r with { R8 = r.R8 ^ 1 } },
        { "steps in memory expected 0x65, found 0x64", r => r with { Rsi = r.Rsi + 1 } },
        { "hops in memory expected", r => r with { Rbp = r.Rbp + 1 } },
        { "rdi (own page) expected", r => r with { Rdi = 0 } },
        { "r9 (first page of the slots) expected", r => r with { R9 = 0 } },
        { "r10 (slot mask) expected", r => r with { R10 = 0 } },
        { "r11 (exit mask) expected", r => r with { R11 = 0 } },
        { "rip expected in the code", r => r with { Rip = ulong.MaxValue } },
        { "stopped at a wrong number from the sequence port", r => r with { Rip = 0x1000 + LedgerCode.Stopped } },
    };

    [Theory]
    [MemberData(nameof(RegisterDamage), DisableDiscoveryEnumeration = true)]
    public void A_damaged_register_is_named(string named, Func<GeneralRegisters, GeneralRegisters> damage)
    {
        var state = StateAfter(100);

        state[Vcpu] = damage(state[Vcpu]);

        Assert.Contains(state.Verify().Failures, failure => failure.StartsWith($"vCPU {Vcpu}: {named}", StringComparison.Ordinal));
    }

    [Theory]
    [InlineData(LedgerCode.PageOfSteps, "steps in memory")]
    [InlineData(LedgerCode.PageOfHops, "hops in memory")]
    [InlineData(LedgerCode.PageOfCount, "numbers taken in memory")]
    [InlineData(LedgerCode.PageOfError, "error in memory")]
    public void A_damaged_word_of_the_own_page_is_named(ulong offset, string named)
    {
        var state = StateAfter(100);
        var address = ((LedgerProgram)state.Program).OwnPage(Vcpu) + offset;

        state.SetWord(address, state.Word(address) ^ 1);

        Assert.StartsWith($"vCPU {Vcpu}: {named} expected", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Fact]
    public void A_number_lost_between_the_device_and_the_vcpu_is_named()
    {
        var state = StateAfter(100);

        state.Device.TryRead(Vcpu, SequenceDevice.SequencePort, new byte[4]);

        Assert.StartsWith(
            $"vCPU {Vcpu}: numbers given by the sequence device expected", Assert.Single(state.Verify().Failures), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(3)]
    [InlineData(64)]
    public void Every_slot_is_a_combination_of_the_bits_of_the_slot_mask(int vcpus)
    {
        var program = (LedgerProgram)NewState(vcpus).Program;
        var entry = program.Entry(0).General;

        var offsets = Enumerable.Range(0, program.SlotCount).Select(slot => program.SlotAddress(slot) - entry.R9).ToHashSet();

        Assert.Equal(program.SlotCount, offsets.Count);
        Assert.All(offsets, offset => Assert.Equal(offset, offset & entry.R10));
        Assert.Equal(program.SlotCount, 1 << System.Numerics.BitOperations.PopCount(entry.R10));
    }

    private static GuestState NewState(int vcpus) => new(X64GuestProgram.Create(
        GuestKind.Ledger, new GuestOptions { Vcpus = vcpus, MemoryBytes = 1 << 20, Seed = Seed, ExitEverySteps = 2 }));

    private static GuestState StateAfter(int steps)
    {
        var state = NewState(2);
        var walker = new LedgerWalker(state, Vcpu);
        for (var step = 0; step < steps || LedgerToken.Hops(state[Vcpu].R12) == 0; step++)
        {
            Assert.Equal(LedgerCode.LoopStart, walker.Step().Last());
        }

        Assert.Empty(state.Verify().Failures);
        return state;
    }
}
