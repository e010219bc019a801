using System.Buffers.Binary;
using Checkpoint.Kvm.Device.Linux;
using Checkpoint.Kvm.Device.Simulated;
using Checkpoint.Kvm.Device.Simulated.X64;
using Checkpoint.Kvm.Guests;
using Checkpoint.Kvm.Machines;
using Checkpoint.Kvm.Machines.X64;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Tests.Machines;

[Collection(MachineCollection.Name)]
public sealed class X64CpuidCheckTests
{
    private const int Eax = 0;
    private const int Ebx = 1;
    private const int Ecx = 2;
    private const int Edx = 3;

    private static readonly byte[] s_table = X64CpuidTable.Default.ToArray();

    [Fact]
    public void The_hosts_own_table_is_taken() => Assert.Equal([], Refused(s_table, s_table));

    [Fact]
    public void A_processor_with_less_is_refused_feature_by_feature()
    {
        Assert.Equal(
            ["cpuid.1.ecx.avx", "cpuid.7.0.ebx.avx2", "cpuid.d.0.eax.avx", "cpuid.d.0.ecx.max_xsave_size"],
            Refused(X64CpuidTable.WithoutAvx.ToArray(), s_table).Order(StringComparer.Ordinal));
        Assert.Equal([], Refused(s_table, X64CpuidTable.WithoutAvx.ToArray()));
    }

    [Fact]
    public void A_bit_without_a_name_is_a_feature_all_the_same() =>
        Assert.Equal(["cpuid.7.0.ecx.bit26"], Refused(s_table, Set(s_table, 7, Ecx, 1 << 26)));

    [Theory]
    [InlineData(7, 1, Ebx, 1u << 3, "cpuid.7.1.ebx.cpuidmaxval_lim_rmv")]
    [InlineData(7, 1, Ecx, 1u << 5, "cpuid.7.1.ecx.msr_imm")]
    [InlineData(0x12, 0, Eax, 1u << 1, "cpuid.12.0.eax.sgx2")]
    [InlineData(0x12, 1, Eax, 1u << 7, "cpuid.12.1.eax.kss")]
    [InlineData(0x1e, 1, Eax, 1u << 0, "cpuid.1e.1.eax.amx_int8")]
    [InlineData(0x1e, 1, Eax, 1u << 4, "cpuid.1e.1.eax.amx_fp8")]
    [InlineData(0x24, 0, Ebx, 1u << 18, "cpuid.24.0.ebx.avx10_512")]
    public void A_part_that_the_host_lacks_is_refused_bit_by_bit(uint leaf, uint index, int register, uint bits, string name)
    {
        var registers = new uint[4];
        registers[register] = bits;
        byte[] table = [.. s_table, .. NewEntry(leaf, registers[Eax], registers[Ebx], registers[Ecx], registers[Edx], index)];
        Assert.Equal([name], Refused(s_table, table));
        Assert.Equal([], Refused(table, table));
        Assert.Equal([], Refused(table, s_table));
    }

    [Fact]
    public void A_later_avx10_than_the_hosts_is_refused()
    {
        byte[] first = [.. s_table, .. NewEntry(0x24, 0, 0x0007_0001, 0, 0)];
        byte[] second = [.. s_table, .. NewEntry(0x24, 0, 0x0007_0002, 0, 0)];
        Assert.Equal(["cpuid.24.0.ebx.avx10_version"], Refused(first, second));
        Assert.Equal([], Refused(second, first));
    }

    [Fact]
    public void What_leaf_1e_repeats_is_there_where_leaf_7_has_it()
    {
        var host = Set(s_table, 7, Edx, 3 << 24);
        Assert.Equal(["cpuid.1e.1.eax.amx_complex"], Refused(host, [.. host, .. NewEntry(0x1e, 7, 0, 0, 0, index: 1)]));
    }

    [Fact]
    public void Numbers_that_a_vmm_chooses_are_not_compared()
    {
        // Family and model, topology, how many bits MAWAU has, how much XSAVE takes now.
        var chosen = Set(Set(Set(Set(s_table, 1, Eax, 0xf00), 1, Ebx, 0x00ff_0000), 7, Ecx, 0x1f << 17), 0xd, Ebx, 0x400);
        Assert.Equal([], Refused(s_table, chosen));
    }

    [Fact]
    public void What_follows_the_guest_or_is_the_vmms_may_be_there_unreported()
    {
        var host = Clear(Clear(s_table, 1, Ecx, (1u << 31) | (1 << 27) | (1 << 3)), 1, Edx, 1 << 28);
        var taken = Set(Set(host, 1, Ecx, (1u << 31) | (1 << 27) | (1 << 3)), 1, Edx, 1 << 28);
        Assert.Equal([], Refused(host, Set(taken, 7, Ecx, 1 << 4)));
    }

    [Fact]
    public void The_deadline_timer_and_the_x2apic_are_those_of_the_kernels_local_apic()
    {
        var host = Clear(s_table, 1, Ecx, (1 << 24) | (1 << 21));
        Assert.Equal([], Refused(host, s_table, InterruptChip.Split));
        Assert.Equal(["cpuid.1.ecx.x2apic", "cpuid.1.ecx.tsc_deadline"], Refused(host, s_table, InterruptChip.None));
    }

    [Fact]
    public void KVMs_features_are_found_behind_another_hypervisors_leaves()
    {
        // "Microsoft Hv" and "Hv#1" where KVM's own would be.
        var moved = s_table.ToArray();
        BinaryPrimitives.WriteUInt32LittleEndian(Entry(moved, 0x4000_0000), 0x4000_0100);
        BinaryPrimitives.WriteUInt32LittleEndian(Entry(moved, 0x4000_0001), 0x4000_0101);
        byte[] both = [.. moved, .. NewEntry(0x4000_0000, 0x4000_0006, 0x7263_694d, 0x666f_736f, 0x7648_2074), .. NewEntry(0x4000_0001, 0x3123_7648, 0, 0, 0)];
        Assert.Equal([], Refused(s_table, both));
        Assert.Equal(["cpuid.40000001.eax.kvm_migration_control"], Refused(s_table, Set(both, 0x4000_0101, Eax, 1 << 17)));
    }

    [Fact]
    public void A_feature_that_is_set_and_does_not_read_back_is_dropped()
    {
        using var kvm = new SimulatedKvm(new() { Cpuid = s_table });
        using var vm = kvm.CreateVm();
        using var vcpu = vm.CreateVcpu(0, 0);
        var check = new X64CpuidCheck(kvm, InterruptChip.Full, vcpu, s_table);
        var dropped = check.Dropped(3, s_table, Clear(s_table, 1, Ecx, (1 << 26) | (1 << 27)));
        Assert.Equal(["vCPU 3 cpuid.1.ecx.xsave: wanted 0x01, found 0x00"], dropped.Select(each => each.ToString()));
        Assert.Equal([], check.Dropped(3, s_table, Set(s_table, 1, Ecx, 1 << 27)));
    }

    [KvmFact]
    public void What_a_vcpu_reads_back_is_taken_on_the_host_that_it_was_read_on()
    {
        using var kvm = SystemHandle.Open();
        using var guest = GuestMachine.Create(kvm, GuestKind.Counter, new GuestOptions { Vcpus = 2 });
        RunGuest.For(guest, exits: 2);
        var saved = RunGuest.Capture(guest.Machine);

        // As an adopted machine's description has it, after the guest has switched on what it likes.
        var vcpus = guest.Machine.Vcpus.Select((state, i) => saved.Machine.Vcpus[i] with { Features = state.Vcpu.GetCpuid() });
        var adopted = saved with { Machine = saved.Machine with { Vcpus = [.. vcpus] } };
        using var fresh = X64Machine.Create(kvm, adopted.Machine);
        Assert.Equal([], fresh.Restore(adopted, ClockPolicy.Freeze, default, default).Refusals.Select(each => each.ToString()));
    }

    [KvmFact]
    public void A_vcpu_that_has_the_hosts_own_table_is_not_given_it_again()
    {
        var calls = new List<string>();
        using var watched = new WatchedKvm(SystemHandle.Open(), calls.Add);
        using var guest = GuestMachine.Create(watched, GuestKind.Counter, new GuestOptions { Vcpus = 2 });
        RunGuest.For(guest, exits: 2);
        var saved = RunGuest.Capture(guest.Machine);
        using var fresh = X64Machine.Create(watched, saved.Machine);
        calls.Clear();
        Assert.Empty(fresh.Restore(saved, ClockPolicy.Freeze, default, default).Refusals);
        Assert.DoesNotContain("KVM_SET_CPUID2", calls);
    }

    private static List<string> Refused(byte[] host, byte[] table, InterruptChip chip = InterruptChip.Full)
    {
        using var kvm = new SimulatedKvm(new() { Cpuid = host });
        using var vm = kvm.CreateVm();
        using var vcpu = vm.CreateVcpu(0, 0);
        vcpu.SetCpuid(table);
        var refused = new X64CpuidCheck(kvm, chip, vcpu, table).Against(0, table).Select(each => each.Register).ToList();
        Assert.Equal(table, vcpu.GetCpuid().ToArray());
        return refused;
    }

    private static byte[] Set(byte[] table, uint leaf, int register, uint bits) => Change(table, leaf, register, value => value | bits);

    private static byte[] Clear(byte[] table, uint leaf, int register, uint bits) => Change(table, leaf, register, value => value & ~bits);

    private static byte[] Change(byte[] table, uint leaf, int register, Func<uint, uint> change)
    {
        var changed = table.ToArray();
        var word = Entry(changed, leaf)[(12 + (4 * register))..];
        BinaryPrimitives.WriteUInt32LittleEndian(word, change(BinaryPrimitives.ReadUInt32LittleEndian(word)));
        return changed;
    }

    private static Span<byte> Entry(byte[] table, uint leaf)
    {
        for (var offset = 0; offset < table.Length; offset += X64Cpuid.EntrySize)
        {
            if (BinaryPrimitives.ReadUInt32LittleEndian(table.AsSpan(offset)) == leaf)
                return table.AsSpan(offset, X64Cpuid.EntrySize);
        }

        throw new Xunit.Sdk.XunitException($"CPUID has no leaf {leaf:x}.");
    }

    private static byte[] NewEntry(uint leaf, uint eax, uint ebx, uint ecx, uint edx, uint index = 0)
    {
        var entry = new byte[X64Cpuid.EntrySize];
        uint[] words = [leaf, index, 0, eax, ebx, ecx, edx];
        for (var i = 0; i < words.Length; i++)
            BinaryPrimitives.WriteUInt32LittleEndian(entry.AsSpan(4 * i), words[i]);
        return entry;
    }
}
