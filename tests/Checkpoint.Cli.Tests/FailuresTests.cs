using System.Diagnostics;
using Checkpoint.Actors;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Machines;
using Checkpoint.Protocol.State;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Tests;

public class FailuresTests
{
    [Fact]
    public void Every_kind_of_failure_has_its_exit_code()
    {
        Assert.Equal(4, Failures.Describe(new StoreException(StoreFailure.NotFound, "there is none")).ExitCode);
        Assert.Equal(1, Failures.Describe(new StoreException(StoreFailure.Held, "held")).ExitCode);
        Assert.Equal(1, Failures.Describe(new StoreException(StoreFailure.Unusable, "unusable")).ExitCode);
        Assert.Equal(3, Failures.Describe(new IntegrityException("a", "journal", "broken")).ExitCode);
        Assert.Equal(130, Failures.Describe(new OperationCanceledException()).ExitCode);
        Assert.Equal(1, Failures.Describe(new KvmException("KVM_CREATE_VM", Errno.ENOMEM)).ExitCode);
        Assert.Equal(2, Failures.Describe(CommandException.Usage("no")).ExitCode);
        Assert.Equal(1, Failures.Describe(new UnreachableException("bug")).ExitCode);
    }

    [Fact]
    public void A_refused_restore_is_one_line_with_the_count_and_the_first_names()
    {
        RegisterRefusal[] refusals =
        [
            .. Enumerable.Range(0, 5).Select(vcpu => new RegisterRefusal(vcpu, "IA32_EFER", StateIds.X64Msr(0xc0000080), new byte[8], new byte[8], 0)),
        ];
        var (exitCode, line) = Failures.Describe(new RestoreRefusedException("a@1", refusals));
        Assert.Equal(1, exitCode);
        Assert.Contains("5 registers", line, StringComparison.Ordinal);
        Assert.Contains("vCPU 0 IA32_EFER, vCPU 1 IA32_EFER, vCPU 2 IA32_EFER, …", line, StringComparison.Ordinal);
        Assert.Contains("--check", line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_refused_structure_is_named_with_the_error_number_that_the_kernel_gave()
    {
        RegisterRefusal[] refusals = [new(null, "PIT2", 0, new byte[112], default, Errno.EINVAL), new(1, "XSAVE", 0, new byte[4096], new byte[4096], 0)];
        Assert.Contains("1 register refused (VM PIT2 with EINVAL)", Failures.Describe(new RestoreRefusedException("a@1", refusals[..1])).Line, StringComparison.Ordinal);
        Assert.Contains("2 registers refused (VM PIT2 with EINVAL, vCPU 1 XSAVE)", Failures.Describe(new RestoreRefusedException("a@1", refusals)).Line, StringComparison.Ordinal);
    }

    [Fact]
    public void A_bug_is_one_line_however_many_its_message_has()
    {
        var (_, line) = Failures.Describe(new UnreachableException("first\nsecond"));
        Assert.DoesNotContain('\n', line);
        Assert.Contains("--debug", line, StringComparison.Ordinal);
    }
}
