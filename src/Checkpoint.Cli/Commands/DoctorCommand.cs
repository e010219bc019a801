using System.CommandLine;
using System.Globalization;
using System.Runtime.InteropServices;
using Checkpoint.Cli.Machines;
using Checkpoint.Cli.Output;
using Checkpoint.Storage;

namespace Checkpoint.Cli.Commands;

/// <summary><c>checkpoint doctor</c>.</summary>
internal sealed class DoctorCommand : Verb
{
    private const string Ok = "ok";
    private const string KernelRelease = "/proc/sys/kernel/osrelease";

    public DoctorCommand(GlobalOptions global, Surroundings around)
        : base("doctor", "Says what this host and this store offer. Ends with 0 when it could answer, whatever the answer is; changes nothing.", "checkpoint doctor --json", global, around)
    {
    }

    protected override async Task<int> ExecuteAsync(Invocation invocation, CancellationToken cancellationToken)
    {
        var host = HostReport.Examine(invocation.Around.KvmDevice);
        var options = invocation.Store;
        var line = new DoctorLine(
            RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant(),
            host.Reason is null,
            host.Reason,
            true, // A simulated machine needs nothing of the host.
            host.ApiVersion,
            host.Capabilities,
            host.Batching,
            await ExamineStoreAsync(options, invocation, cancellationToken).ConfigureAwait(false),
            options.Uri ?? StoreUri.Default,
            File.Exists(KernelRelease) ? (await File.ReadAllTextAsync(KernelRelease, cancellationToken).ConfigureAwait(false)).Trim() : RuntimeInformation.OSDescription,
            Environment.ProcessorCount,
            typeof(DoctorCommand).Assembly.GetName().Version?.ToString(3) ?? "unknown");
        Report(invocation, line);
        return ExitCode.Done;
    }

    /// <summary><c>ok</c>, or one line that says why the store cannot be used.</summary>
    private static async Task<string> ExamineStoreAsync(StoreOptions options, Invocation invocation, CancellationToken cancellationToken)
    {
        try
        {
            if (StoreUri.Parse(options.Uri).SqlitePath is not { } path)
                return Ok;
            if (!File.Exists(path) && !Directory.Exists(path))
                return ExamineFolder(path);
            await using var engine = invocation.OpenToRead();
            await engine.Store.ListMachinesAsync(cancellationToken).ConfigureAwait(false);
            // Opened and closed again, not written: whether the file's permissions would let a run write.
            await using var file = new FileStream(path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            return Ok;
        }
        catch (Exception exception) when (exception is StoreException or IntegrityException)
        {
            return exception.Message;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return "it can be read but not written; check its permissions";
        }
    }

    private static string ExamineFolder(string path)
    {
        var folder = Path.GetDirectoryName(path);
        if (!Directory.Exists(folder))
            return $"the folder {folder} does not exist; create it first";
        // A file that goes as soon as it is closed: asking for permissions says nothing of a file system that is read-only.
        var probe = Path.Combine(folder, ".checkpoint-doctor-" + Guid.NewGuid().ToString("N"));
        try
        {
            using var file = new FileStream(probe, FileMode.CreateNew, FileAccess.Write, FileShare.None, 1, FileOptions.DeleteOnClose);
            return Ok;
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return $"nothing can be created in the folder {folder}; check its permissions";
        }
    }

    private static void Report(Invocation invocation, DoctorLine line)
    {
        if (invocation.IsJson)
        {
            invocation.WriteJson(line, LineContext.Default.DoctorLine);
            return;
        }

        var table = TextTable.OfValues();
        table.Add("program", line.Version);
        table.Add("kernel", $"{line.Kernel}, {line.Arch}, {line.Cpus} processors");
        table.Add("KVM", line.Kvm ? string.Create(CultureInfo.InvariantCulture, $"usable, API version {line.Api}") : "NOT usable: " + line.KvmReason);
        if (line.Batching is not null)
            table.Add("registers", $"read by {line.Batching}");
        table.Add("simulation", "available: --machine sim, x64 and arm64");
        table.Add("store", $"{line.StoreUri}: {line.Store}");
        invocation.WriteTable(table);
        if (line.Capabilities.Count == 0)
            return;

        invocation.WriteText("");
        var capabilities = new TextTable("capability", ">value");
        foreach (var (name, value) in line.Capabilities)
            capabilities.Add(name, value == 0 ? "-" : value.ToString(CultureInfo.InvariantCulture));
        invocation.WriteTable(capabilities);
    }
}
