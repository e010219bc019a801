using System.Net.Sockets;
using System.Runtime.InteropServices;
using Checkpoint.Protocol.Events;
using Checkpoint.Protocol.Faults;
using Checkpoint.Storage.Faults;
using Checkpoint.Storage.Segments;

namespace Checkpoint.Storage.Tests.Segments;

public sealed class SegmentOpeningTests : IDisposable
{
    // Whoever opens a FIFO as if it were a file waits for ever.
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    private readonly TemporaryFolder _folder = new();
    private readonly FaultPlan _faults = new();
    private readonly SegmentStore _store;

    public SegmentOpeningTests() => _store = new SegmentStore(_folder.File("x.d"), new FaultyFiles(SystemFiles.Instance, _faults));

    public void Dispose() => _folder.Dispose();

    [Theory]
    [InlineData("a FIFO")]
    [InlineData("a folder")]
    [InlineData("a socket")]
    [InlineData("a loop of symbolic links")]
    public async Task What_is_no_file_where_a_segment_should_be_is_damage_by_its_name_and_keeps_nobody_waiting(string kind)
    {
        var committed = Write();
        var path = PathOf(committed);
        File.Delete(path);
        using var put = Put(kind, path);
        var damage = await Assert.ThrowsAsync<IntegrityException>(() => Task.Run(() => _store.Open("web", committed)).WaitAsync(s_patience));
        Assert.Equal((12L, "segment " + committed.Segment!.Name), (damage.Checkpoint, damage.Part));
        Assert.StartsWith(kind, damage.What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_segment_that_is_a_link_to_a_file_elsewhere_is_a_segment()
    {
        var committed = Write();
        File.Move(PathOf(committed), _folder.File("elsewhere"));
        File.CreateSymbolicLink(PathOf(committed), _folder.File("elsewhere"));
        using var reader = _store.Open("web", committed);
        Assert.Equal(1, reader.Read(0, new byte[4096]));
    }

    [Theory]
    [InlineData("EMFILE", "ulimit -n")]
    [InlineData("ENFILE", "fs.file-max")]
    [InlineData("EACCES", "permissions")]
    [InlineData("EIO", "system's log")]
    [InlineData("ENOMEM", "memory")]
    public void A_file_that_cannot_be_opened_is_no_damage_and_what_to_do_is_told(string error, string advice)
    {
        var committed = Write();
        Assert.True(ErrorNumbers.TryParse(error, out var errno));
        _faults.On("open").Fail(errno);
        var failure = Assert.Throws<StoreException>(() => _store.Open("web", committed));
        Assert.Equal(StoreFailure.Unusable, failure.Failure);
        Assert.All([PathOf(committed), error, advice], word => Assert.Contains(word, failure.Message, StringComparison.Ordinal));
    }

    [Fact]
    public void What_the_disk_does_not_give_back_is_damage()
    {
        var committed = Write();
        _faults.On("pread").Fail(5);
        Assert.Contains("cannot be read", Assert.Throws<IntegrityException>(() => _store.Open("web", committed)).What, StringComparison.Ordinal);
    }

    [Fact]
    public void A_disk_that_is_full_is_told_with_what_to_do()
    {
        _faults.On("pwrite").Fail(28);
        Assert.EndsWith("free some space there", Assert.Throws<StoreException>(Write).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_folder_of_segments_whose_owner_file_is_a_FIFO_keeps_nobody_waiting()
    {
        var owner = new SegmentOwner(_folder.File("x.d"), "abc", beside: true);
        Directory.CreateDirectory(_folder.File("x.d"));
        using var put = Put("a FIFO", _folder.File("x.d/" + SegmentOwner.FileName));
        var failure = await Assert.ThrowsAsync<StoreException>(() => Task.Run(owner.Check).WaitAsync(s_patience));
        Assert.Contains("a FIFO", failure.Message, StringComparison.Ordinal);
    }

    private MachineEvent.CheckpointCommitted Write()
    {
        var identity = new SegmentIdentity("web", 12, new CheckpointId(0xabc), CheckpointMode.Full, null);
        var page = new byte[4096];
        page[7] = 1;
        return Samples.Committed(12, default, _store.Write(identity, [new PageRun(0, page)])) with { Id = identity.Id, Mode = identity.Mode, Parent = null };
    }

    private string PathOf(MachineEvent.CheckpointCommitted committed) => _folder.File($"x.d/web/{committed.Segment!.Name}");

    private static Socket? Put(string kind, string path)
    {
        switch (kind)
        {
            case "a FIFO":
                Assert.Equal(0, MakeFifo([.. System.Text.Encoding.UTF8.GetBytes(path), 0], 0x180));
                return null;
            case "a folder":
                Directory.CreateDirectory(path);
                return null;
            case "a socket":
                // The name of a socket can't be long: it is made in the working folder of its own, and moved.
                var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
                socket.Bind(new UnixDomainSocketEndPoint(path));
                return socket;
            default:
                File.CreateSymbolicLink(path, path);
                return null;
        }
    }

    [DllImport("libc", EntryPoint = "mkfifo")]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int MakeFifo(byte[] path, uint mode);
}
