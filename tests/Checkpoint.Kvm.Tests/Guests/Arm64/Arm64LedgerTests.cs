using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Registers;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Guests.Arm64;

public sealed class Arm64LedgerTests
{
    [Fact]
    public void A_ledger_is_consistent_at_every_instruction_whatever_vcpu_runs()
    {
        var guest = New();
        var random = new Random(3);
        for (var i = 0; i < 3600; i++)
        {
            // The long hold would fill the test: it is stepped over.
            var vcpu = random.Next(3);
            do
                guest.Step(vcpu);
            while (guest.Offset(vcpu) is >= Arm64LedgerCode.Hold and < Arm64LedgerCode.HoldDone);
            var verdict = guest.Verify();
            Assert.True(verdict.Ok, $"instruction {i}, offset 0x{guest.Offset(vcpu):x}: {string.Join("; ", verdict.Failures)}");
        }

        var end = guest.Verify();
        Assert.All(end.Steps, steps => Assert.True(steps > 30));
        Assert.True(end.Hops > 30);
        Assert.All(Enumerable.Range(0, 3), vcpu => Assert.True(guest.Device[vcpu].Reports > 0));
    }

    [Fact]
    public void Every_hand_holds_a_token_at_some_time()
    {
        var guest = New();
        var held = new HashSet<int>();
        for (var i = 0; i < 20_000; i++)
        {
            guest.Step(0);
            held.UnionWith(Enumerable.Range(19, 4).Where(hand => guest.X(0)[hand] != 0));
        }

        Assert.Equal([19, 20, 21, 22], held.Order());
    }

    [Theory]
    [InlineData(Arm64LedgerCode.HopRaised19)]
    [InlineData(Arm64LedgerCode.HopRaised20)]
    [InlineData(Arm64LedgerCode.HopRaised21)]
    [InlineData(Arm64LedgerCode.HopRaised)]
    public void A_hop_that_is_raised_and_not_counted_yet_is_no_failure(ulong label)
    {
        var guest = New();
        RunTo(guest, label);
        Assert.Equal([], guest.Verify().Failures);
    }

    [Fact]
    public void A_lost_token_a_doubled_token_and_a_stranger_are_named()
    {
        var guest = New();
        RunTo(guest, Arm64LedgerCode.HopCounted);
        var hand = Enumerable.Range(19, 4).First(register => guest.X(0)[register] != 0);
        var token = guest.X(0)[hand];

        guest.X(0)[hand] = 0;
        Assert.Contains(guest.Verify().Failures, failure => failure.EndsWith("found in no slot and no register", StringComparison.Ordinal));
        guest.X(0)[hand] = token;
        guest.X(1)[22] = token;
        Assert.Contains(guest.Verify().Failures, failure => failure.Contains($"found in x{hand} of vCPU 0 and x22 of vCPU 1", StringComparison.Ordinal));
        guest.X(1)[22] = 0xffff;
        Assert.Contains("x22 of vCPU 1: expected a token or 0, found 0xffff", guest.Verify().Failures);
    }

    [Theory]
    [InlineData(0, "x0 (random number)")]
    [InlineData(1, "x1 (multiplier)")]
    [InlineData(2, "x0 (random number)")]
    [InlineData(3, "hops in memory")]
    [InlineData(4, "x4 (own page)")]
    [InlineData(5, "x5 (first page of the slots)")]
    [InlineData(6, "x6 (slot mask)")]
    [InlineData(7, "x7 (increment)")]
    [InlineData(8, "x8 (numbers taken)")]
    [InlineData(10, "x10 (exit mask)")]
    [InlineData(11, "x11 (device)")]
    public void A_damaged_register_is_named(int register, string named)
    {
        var guest = New();
        RunTo(guest, Arm64LedgerCode.Reported);
        guest.X(0)[register]++;
        Assert.Contains(guest.Verify().Failures, failure => failure.StartsWith($"vCPU 0: {named}", StringComparison.Ordinal));
    }

    [Fact]
    public void Vector_registers_are_found_under_their_z_names_too()
    {
        var core = Arm64Registers.CoreRegisters.Where(each => new RegisterId(each.Id).SizeBytes == 8).Select(each => new StateItem(each.Id, new byte[8]));
        var z = new byte[256];
        z[8] = 7;
        var state = StateList.Create([.. core, new StateItem(Arm64Registers.Z(15), z)]);
        var registers = Arm64GuestRegisters.Of(state);
        Assert.Equal((0ul, 7ul, null), (registers.Lane(15, 0), registers.Lane(15, 1), registers.Lane(14, 0)));
        Assert.Throws<InvalidDataException>(() => Arm64GuestRegisters.Of(StateList.Empty));
    }

    private static Arm64Stepper New() => new(Arm64GuestProgram.Create(
        GuestKind.Ledger, new GuestOptions { Vcpus = 3, MemoryBytes = 1 << 20, Seed = 9, ExitEverySteps = 2 }));

    private static void RunTo(Arm64Stepper guest, ulong label)
    {
        for (var i = 0; i < 50_000 && guest.Offset(0) != label; i++)
            guest.Step(0);
        Assert.Equal(label, guest.Offset(0));
    }
}
