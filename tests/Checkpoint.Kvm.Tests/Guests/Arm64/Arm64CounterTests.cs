using Checkpoint.Kvm.Guests;

namespace Checkpoint.Kvm.Tests.Guests.Arm64;

public sealed class Arm64CounterTests
{
    [Fact]
    public void A_counter_is_consistent_at_every_instruction()
    {
        var guest = New(exitEvery: 4);
        for (var i = 0; i < 4000; i++)
        {
            var verdict = guest.Verify();
            Assert.True(verdict.Ok, $"instruction {i}, offset 0x{guest.Offset(1):x}: {string.Join("; ", verdict.Failures)}");
            guest.Step(1);
        }

        Assert.True(guest.Verify().Steps[1] > 300);
        Assert.True(guest.Device[1].Reports > 3);
        Assert.Equal(0UL, guest.Verify().Steps[0]);
    }

    [Fact]
    public void A_pc_of_another_instruction_does_not_fit_the_state()
    {
        // Stopped right behind a carrier's change, every other label of a carrier tells of a state that this is not.
        ulong[] labels =
        [
            Arm64CounterCode.XInRegister, Arm64CounterCode.NInRegister, Arm64CounterCode.NInVector, Arm64CounterCode.XInMemory,
            Arm64CounterCode.NInMemory, Arm64CounterCode.PageWritten, Arm64CounterCode.PageAdvanced, Arm64CounterCode.SequenceTaken,
            Arm64CounterCode.SequenceCounted, Arm64CounterCode.SequenceStored,
        ];
        foreach (var label in labels)
        {
            var guest = New(exitEvery: 2);
            RunTo(guest, label, times: 4); // An even step, in which a page is written and the device read.
            foreach (var other in labels.Where(other => other != label))
            {
                guest.SetPc(1, guest.Program.CodeStart + other);
                Assert.False(guest.Verify().Ok, $"0x{label:x} passes for 0x{other:x}");
            }
        }
    }

    public static TheoryData<string, Action<Arm64Counter>> Damage() => new()
    {
        { "x0 (x)", guest => guest.X[0] ^= 1 },
        { "x1 (multiplier)", guest => guest.X[1]++ },
        { "x2 (increment)", guest => guest.X[2]++ },
        { "x4 (own page)", guest => guest.X[4] += 4096 },
        { "x5 (working area)", guest => guest.X[5]++ },
        { "x6 (length of the working area)", guest => guest.X[6]++ },
        { "x7 (offset of the next page)", guest => guest.X[7] ^= 4096 },
        { "x8 (numbers taken)", guest => guest.X[8]++ },
        { "x9 (walk mask)", guest => guest.X[9]++ },
        { "x10 (exit mask)", guest => guest.X[10]++ },
        { "x11 (device)", guest => guest.X[11]++ },
        { "n in memory", guest => guest.X[3]++ },
        { "v14 lane 0", guest => guest.V[28]++ },
        { "v15 lane 0", guest => guest.V[30]++ },
        { "v15 lane 1", guest => guest.V[31]++ },
        { "pstate without the condition flags", guest => guest.Stepper.SetPstate(1, 0x3c4) },
        { "pc expected in the code", guest => guest.Stepper.SetPc(1, 0) },
        { "x in memory", guest => guest.Stepper.SetWord(guest.Page + Arm64CounterCode.PageOfX, 1) },
        { "numbers taken in memory", guest => guest.Stepper.SetWord(guest.Page + Arm64CounterCode.PageOfCount, 1) },
        { "1 of 3 working pages wrong", guest => guest.Stepper.SetWord(guest.X[5] + 4096, 1) },
        { "numbers given by the sequence device", guest => guest.Stepper.Device.TryRead(1, SequenceDevice.SequencePort, new byte[4]) },
    };

    [Theory]
    [MemberData(nameof(Damage), DisableDiscoveryEnumeration = true)]
    public void What_is_damaged_is_named(string named, Action<Arm64Counter> damage)
    {
        var guest = New(exitEvery: 2);
        RunTo(guest, Arm64CounterCode.Reported, times: 2);
        Assert.Equal([], guest.Verify().Failures);
        damage(new Arm64Counter(guest));
        Assert.Contains(guest.Verify().Failures, failure => failure.StartsWith($"vCPU 1: {named}", StringComparison.Ordinal));
    }

    [Fact]
    public void A_wrong_number_stops_the_vcpu_and_is_told_with_both_numbers()
    {
        var guest = New(exitEvery: 2);
        RunTo(guest, Arm64CounterCode.SequenceStored, times: 1);
        guest.Device.TryRead(1, SequenceDevice.SequencePort, new byte[4]);
        RunTo(guest, Arm64CounterCode.Stopped, times: 3);
        Assert.Contains("vCPU 1: stopped at a wrong number from the sequence port: expected 2, found 3", guest.Verify().Failures);
    }

    [Fact]
    public void Registers_given_to_the_wrong_vcpu_are_named()
    {
        var guest = New(exitEvery: 2);
        guest.Swap(0, 1);
        Assert.Contains(guest.Verify().Failures, failure => failure.StartsWith("vCPU 0: x4 (own page)", StringComparison.Ordinal));
    }

    private static Arm64Stepper New(ulong exitEvery) => new(Arm64GuestProgram.Create(
        GuestKind.Counter,
        new GuestOptions { Vcpus = 2, MemoryBytes = 1 << 20, Seed = 5, ExitEverySteps = exitEvery, WriteEverySteps = 2, WorkingPages = 3 }));

    private static void RunTo(Arm64Stepper guest, ulong label, int times)
    {
        for (var i = 0; i < 20_000; i++)
        {
            guest.Step(1);
            if (guest.Offset(1) == label && --times == 0)
                return;
        }

        Assert.Fail($"The guest never came to 0x{label:x}.");
    }

    /// <summary>vCPU 1 of a counter.</summary>
    public sealed class Arm64Counter
    {
        private readonly Arm64Stepper _stepper;

        internal Arm64Counter(Arm64Stepper stepper) => _stepper = stepper;

        internal Arm64Stepper Stepper => _stepper;

        internal ulong[] X => _stepper.X(1);

        internal ulong[] V => _stepper.V(1);

        internal ulong Page => _stepper.Program.OwnPage(1);
    }
}
