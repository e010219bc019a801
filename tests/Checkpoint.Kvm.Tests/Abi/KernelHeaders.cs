using System.Diagnostics;
using System.Globalization;
using System.Reflection;
using System.Text;
using Checkpoint.Kvm.Abi;
using Checkpoint.Kvm.Device;
using Checkpoint.Kvm.Device.Linux;

namespace Checkpoint.Kvm.Tests.Abi;

/// <summary>
/// What the C headers of this host say. One C program is generated from the types and tables of this project, compiled and
/// run once; each line it prints is a name and its value. A name that the headers do not have is missing from the answers.
/// </summary>
public sealed class KernelHeaders
{
    private readonly Lazy<Dictionary<string, long>> _answers = new(Ask);

    /// <summary>Names of constants that the headers give a value to, among all that were asked for.</summary>
    public long? ValueOf(string name) => _answers.Value.TryGetValue(name, out var value) ? value : null;

    internal static IEnumerable<Type> Structs => typeof(kvm_regs).Assembly.GetTypes()
        .Where(type => type is { IsValueType: true, Namespace: "Checkpoint.Kvm.Abi" }
            && !type.IsNested && !type.Name.EndsWith("_array", StringComparison.Ordinal));

    internal static IEnumerable<KvmRequest> Requests => typeof(KvmRequests).GetFields(BindingFlags.Public | BindingFlags.Static)
        .Concat(typeof(UserfaultfdRequests).GetFields(BindingFlags.NonPublic | BindingFlags.Static).Where(member => member.FieldType == typeof(KvmRequest)))
        .Select(member => (KvmRequest)member.GetValue(null)!);

    /// <summary>Structs that the x86 headers, or any released ones, do not have.</summary>
    internal static readonly string[] WithoutHeader = [nameof(kvm_many_regs), nameof(kvm_vcpu_init), nameof(uffdio_move)];

    internal static IEnumerable<FieldInfo> FieldsOf(Type type) =>
        type.GetFields(BindingFlags.Instance | BindingFlags.NonPublic | BindingFlags.Public);

    // The flattened names of nested members, as C spells them.
    internal static string PathOf(Type type, string field)
    {
        string[] nested = type.Name switch
        {
            nameof(kvm_vcpu_events) => ["exception", "interrupt", "nmi", "smi", "triple_fault"],
            nameof(kvm_run) => ["hw", "fail_entry", "ex", "io", "mmio", "internal", "system_event"],
            _ => [],
        };
        if (type == typeof(uffd_msg) && field.StartsWith("pagefault_", StringComparison.Ordinal))
            return "arg.pagefault." + field["pagefault_".Length..];
        if (field is "exception_has_payload" or "exception_payload")
            return field;
        var outer = nested.FirstOrDefault(name => field.StartsWith(name + "_", StringComparison.Ordinal));
        return outer is null ? field : $"{outer}.{field[(outer.Length + 1)..]}";
    }

    private static string Program()
    {
        var text = new StringBuilder("""
            #define _GNU_SOURCE
            #include <errno.h>
            #include <fcntl.h>
            #include <signal.h>
            #include <stddef.h>
            #include <stdio.h>
            #include <string.h>
            #include <time.h>
            #include <sys/ioctl.h>
            #include <sys/mman.h>
            #include <sys/syscall.h>
            #include <linux/kvm.h>
            #include <linux/userfaultfd.h>
            int main(void) {

            """);
        foreach (var type in Structs.Where(type => !WithoutHeader.Contains(type.Name)))
        {
            text.Append(CultureInfo.InvariantCulture, $"printf(\"sizeof {type.Name} %zu\\n\", sizeof(struct {type.Name}));\n");
            foreach (var path in FieldsOf(type).Select(field => PathOf(type, field.Name)))
            {
                text.Append(CultureInfo.InvariantCulture, $"printf(\"offset {type.Name}.{path} %zu\\n\", offsetof(struct {type.Name}, {path}));\n");
                text.Append(CultureInfo.InvariantCulture, $"printf(\"sizeof {type.Name}.{path} %zu\\n\", sizeof(((struct {type.Name} *)0)->{path}));\n");
            }
        }

        foreach (var name in Requests.Select(request => request.Name).Concat(Constants.All.Select(constant => constant.Name)))
        {
            // KVM_MANY_REGS and the arm64 requests expand to structs that may be missing, so they are asked for by name only.
            var guard = WithoutHeaderRequests.Contains(name) ? "0" : $"defined({name})";
            text.Append(CultureInfo.InvariantCulture, $"#if {guard}\nprintf(\"value {name} %lld\\n\", (long long){name});\n#endif\n");
        }

        text.Append("for (int i = 1; i < 200; i++) if (strerrorname_np(i)) printf(\"errno %s %d\\n\", strerrorname_np(i), i);\n");
        text.Append("printf(\"sizeof sigset_t %zu\\nsizeof timespec %zu\\n\", sizeof(sigset_t), sizeof(struct timespec));\n");
        return text.Append("return 0; }\n").ToString();
    }

    /// <summary>Requests whose macro cannot be expanded on x86, or exists in no released header.</summary>
    internal static readonly string[] WithoutHeaderRequests =
        ["KVM_GET_MANY_REGS", "KVM_SET_MANY_REGS", "KVM_ARM_VCPU_INIT", "KVM_ARM_PREFERRED_TARGET", "UFFDIO_MOVE"];

    private static Dictionary<string, long> Ask()
    {
        var folder = Directory.CreateTempSubdirectory("checkpoint-headers-");
        try
        {
            var source = Path.Combine(folder.FullName, "ask.c");
            var program = Path.Combine(folder.FullName, "ask");
            File.WriteAllText(source, Program());
            Run("cc", ["-O0", "-w", "-o", program, source]);
            return Run(program, []).Split('\n', StringSplitOptions.RemoveEmptyEntries)
                .Select(line => line.Split(' '))
                .ToDictionary(words => $"{words[0]} {words[1]}", words => long.Parse(words[2], CultureInfo.InvariantCulture));
        }
        finally
        {
            folder.Delete(recursive: true);
        }
    }

    private static string Run(string file, string[] arguments)
    {
        using var process = Process.Start(new ProcessStartInfo(file, arguments)
        {
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0
            ? output
            : throw new InvalidOperationException($"{file} ended with {process.ExitCode}: {errors.Result}");
    }
}
