using System.Diagnostics;
using System.Globalization;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace Checkpoint.Remote;

/// <summary>
/// Where an agent runs, and the connection to it: a process of this machine, or an emulated machine of another architecture.
/// Disposing of it ends the agent, and with it the machine.
/// </summary>
public sealed class AgentHost : IDisposable
{
    private static readonly TimeSpan s_limit = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _folder;

    private AgentHost(Process process, string folder, AgentConnection connection)
    {
        _process = process;
        _folder = folder;
        Connection = connection;
    }

    /// <summary>The connection to the agent.</summary>
    public AgentConnection Connection { get; }

    private static string KernelFolder { get; } = FindKernelFolder();

    /// <summary>Why no agent can run on this machine; null where one can.</summary>
    public static string? ReasonAgainstLocal()
    {
        if (!OperatingSystem.IsLinux())
            return "This is not Linux.";
        if (!File.Exists(Path.Combine(KernelFolder, "agent", "agent.c")))
            return $"The agent's source is not in {KernelFolder}.";
        return IsOnPath("cc") ? null : "There is no C compiler (cc) in PATH.";
    }

    /// <summary>Why no arm64 machine can be emulated; null where one can.</summary>
    public static string? ReasonAgainstArm64()
    {
        if (!OperatingSystem.IsLinux())
            return "This is not Linux.";
        if (!IsOnPath("qemu-system-aarch64"))
            return "qemu-system-aarch64 is not installed.";
        if (!File.Exists(Path.Combine(KernelFolder, "build")))
            return $"{KernelFolder} is missing.";
        using var where = Process.Start(Quiet(Path.Combine(KernelFolder, "build"), "--where"))!;
        var reason = where.StandardError.ReadToEndAsync();
        where.WaitForExit();
        return where.ExitCode == 0 ? null : $"There is no arm64 kernel: {reason.Result.Trim()}";
    }

    /// <summary>Compiles the agent for this machine and starts it as a process.</summary>
    public static AgentHost StartLocal()
    {
        var folder = Directory.CreateTempSubdirectory("checkpoint-agent-").FullName;
        var program = CompileLocal(folder);
        var path = Path.Combine(folder, "port");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(path));
        listener.Listen(1);
        var process = Process.Start(new ProcessStartInfo(program, [path]))!;
        return new AgentHost(process, folder, new AgentConnection(listener.Accept()));
    }

    /// <summary>Compiles the agent for this machine.</summary>
    /// <param name="folder">Where the program goes.</param>
    /// <returns>Its path.</returns>
    public static string CompileLocal(string folder)
    {
        var program = Path.Combine(folder, "agent");
        using var compiler = Process.Start(Quiet("cc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", program, Path.Combine(KernelFolder, "agent", "agent.c")))!;
        var errors = compiler.StandardError.ReadToEndAsync();
        compiler.WaitForExit();
        return compiler.ExitCode == 0 ? program : throw new InvalidOperationException($"The agent does not compile: {errors.Result}");
    }

    /// <summary>Starts an emulated arm64 machine whose kernel has KVM.</summary>
    /// <param name="cpu">The emulator's name of the processor: cortex-a57, cortex-a76, neoverse-n1, a64fx, max.</param>
    /// <param name="processors">How many.</param>
    /// <param name="hasManyRegs">Whether the kernel has KVM_GET_MANY_REGS and KVM_SET_MANY_REGS.</param>
    public static AgentHost StartArm64(string cpu = "neoverse-n1", int processors = 1, bool hasManyRegs = true)
    {
        var folder = Directory.CreateTempSubdirectory("checkpoint-arm64-").FullName;
        var path = Path.Combine(folder, "port");
        var process = Process.Start(Quiet(
            Path.Combine(KernelFolder, "boot"),
            "--agent", path, "--cpu", cpu, "--smp", processors.ToString(CultureInfo.InvariantCulture), "--many-regs", hasManyRegs ? "on" : "off"))!;
        var console = process.StandardOutput.ReadToEndAsync();
        try
        {
            var connection = Connect(process, path);

            // A machine whose kernel does not come up has a port all the same.
            if (!Task.Run(connection.WaitForAgent).Wait(s_limit))
                throw new TimeoutException("The agent does not answer.");
            return new AgentHost(process, folder, connection);
        }
        catch (Exception failure)
        {
            process.Kill(entireProcessTree: true);
            throw new InvalidOperationException($"The arm64 machine did not start: {failure.Message}\n{console.Result}", failure);
        }
    }

    /// <inheritdoc/>
    public void Dispose()
    {
        Connection.Dispose();
        if (!_process.WaitForExit(s_limit))
            _process.Kill(entireProcessTree: true);
        _process.Dispose();
        Directory.Delete(_folder, recursive: true);
    }

    // The emulator makes its socket when it has started.
    private static AgentConnection Connect(Process process, string path)
    {
        var started = Stopwatch.GetTimestamp();
        while (!process.HasExited && Stopwatch.GetElapsedTime(started) < s_limit)
        {
            try
            {
                return AgentConnection.Connect(path);
            }
            catch (SocketException)
            {
                process.WaitForExit(TimeSpan.FromMilliseconds(10));
            }
        }

        throw new TimeoutException("The emulator offers no port.");
    }

    private static ProcessStartInfo Quiet(string program, params string[] arguments) =>
        new(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true };

    private static bool IsOnPath(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator).Any(folder => File.Exists(Path.Combine(folder, program)));

    // Another build of the same machine can be named, as when the one of this tree is being changed.
    private static string FindKernelFolder([CallerFilePath] string thisFile = "") => Environment.GetEnvironmentVariable("CHECKPOINT_KERNEL") is { Length: > 0 } named
        ? named
        : Path.GetFullPath(Path.Combine(Path.GetDirectoryName(thisFile) ?? "", "..", "..", "kernel"));
}
