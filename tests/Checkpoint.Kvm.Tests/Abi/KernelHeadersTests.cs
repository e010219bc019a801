using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Interop;
using Xunit.Abstractions;

namespace Checkpoint.Kvm.Tests.Abi;

public sealed class KernelHeadersTests(KernelHeaders headers, ITestOutputHelper output) : IClassFixture<KernelHeaders>
{
    [CompilerFact]
    public void Every_struct_is_laid_out_as_in_the_C_header()
    {
        var wrong = new List<string>();
        foreach (var type in KernelHeaders.Structs)
        {
            if (KernelHeaders.WithoutHeader.Contains(type.Name))
            {
                output.WriteLine($"not checked: struct {type.Name}");
                continue;
            }

            Compare(wrong, $"sizeof {type.Name}", SizeOf(type));
            var offsets = OffsetsOf(type);
            foreach (var field in KernelHeaders.FieldsOf(type))
            {
                var path = $"{type.Name}.{KernelHeaders.PathOf(type, field.Name)}";
                Compare(wrong, $"offset {path}", offsets[field.Name]);
                Compare(wrong, $"sizeof {path}", SizeOf(field.FieldType));
            }
        }

        Assert.Empty(wrong);
    }

    [CompilerFact]
    public void Every_request_has_the_code_of_the_C_header()
    {
        var wrong = new List<string>();
        foreach (var request in KernelHeaders.Requests)
        {
            if (headers.ValueOf($"value {request.Name}") is null && KernelHeaders.WithoutHeaderRequests.Contains(request.Name))
                output.WriteLine($"not checked: {request}");
            else
                Compare(wrong, $"value {request.Name}", request.Code);
        }

        Assert.Empty(wrong);
    }

    [CompilerFact]
    public void Every_capability_exit_reason_and_library_constant_has_the_value_of_its_header()
    {
        var wrong = new List<string>();
        foreach (var (name, value) in Constants.All)
            Compare(wrong, $"value {name}", value);
        Assert.Empty(wrong);
    }

    [CompilerFact]
    public void Every_error_number_has_the_name_that_the_C_library_gives_it()
    {
        var wrong = new List<string>();
        for (var errno = 1; errno < 200; errno++)
        {
            if (Errno.NameOf(errno) is var name && !name.StartsWith("errno ", StringComparison.Ordinal))
                Compare(wrong, $"errno {(name == "ENOTSUP" ? "EOPNOTSUPP" : name)}", errno);
        }

        Assert.Empty(wrong);
        Assert.Null(headers.ValueOf("errno errno"));
    }

    [CompilerFact]
    public void Signal_sets_and_times_are_as_large_as_the_C_library_has_them()
    {
        Assert.Equal(headers.ValueOf("sizeof sigset_t"), Unsafe.SizeOf<SignalSet>());
        Assert.Equal(headers.ValueOf("sizeof timespec"), Unsafe.SizeOf<TimeSpec>());
    }

    [Fact]
    public void Every_capability_and_exit_reason_is_asked_for()
    {
        var capabilities = typeof(KvmCapability).GetFields(BindingFlags.Public | BindingFlags.Static);
        // KVM_CAP_MANY_REGS is in no released kernel's header.
        Assert.Equal(capabilities.Length - 1, Constants.Capabilities.Length);
        Assert.Equal(Enum.GetValues<VcpuExitReason>().Length - 1, Constants.ExitReasons.Length);
    }

    [Fact]
    public void Structs_that_the_header_lacks_have_their_sizes()
    {
        Assert.Equal(8, Unsafe.SizeOf<kvm_many_regs>());
        Assert.Equal(32, Unsafe.SizeOf<kvm_vcpu_init>());
        Assert.Equal(40, Unsafe.SizeOf<uffdio_move>());
    }

    private void Compare(List<string> wrong, string question, long ours)
    {
        var theirs = headers.ValueOf(question);
        if (theirs is null)
            wrong.Add($"{question}: the header does not say");
        else if (theirs != ours)
            wrong.Add($"{question}: 0x{ours:x} here, 0x{theirs:x} in the header");
    }

    private static int SizeOf(Type type) => (int)typeof(Unsafe)
        .GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!;

    private static Dictionary<string, int> OffsetsOf(Type type) => (Dictionary<string, int>)typeof(KernelHeadersTests)
        .GetMethod(nameof(Probe), BindingFlags.NonPublic | BindingFlags.Static)!.MakeGenericMethod(type).Invoke(null, null)!;

    // A field begins at the first byte that changes its value. The marshaller's own offsets are not asked: it does not know
    // inline arrays.
    private static Dictionary<string, int> Probe<T>()
        where T : unmanaged
    {
        var offsets = new Dictionary<string, int>();
        var left = KernelHeaders.FieldsOf(typeof(T)).ToList();
        var bytes = new byte[Unsafe.SizeOf<T>()];
        for (var i = 0; i < bytes.Length && left.Count > 0; i++)
        {
            bytes[i] = 1;
            var value = (object)MemoryMarshal.Read<T>(bytes);
            bytes[i] = 0;
            foreach (var field in left.Where(field => !IsZero(field.GetValue(value)!)).ToArray())
            {
                offsets[field.Name] = i;
                left.Remove(field);
            }
        }

        return offsets;
    }

    // Value by value: structs with inline arrays in them refuse to be compared. A buffer's first element speaks for it.
    private static bool IsZero(object value) => value.GetType().IsPrimitive
        ? Convert.ToUInt64(value, CultureInfo.InvariantCulture) == 0
        : KernelHeaders.FieldsOf(value.GetType()).All(field => IsZero(field.GetValue(value)!));
}
