using System.Collections.Immutable;
using Checkpoint.Kvm.Device;
using Checkpoint.Protocol.State;

namespace Checkpoint.Kvm.Memory;

/// <summary>
/// Which pages have been written since they were asked for last: by vCPUs (KVM's dirty log) and by the host. With manual
/// protection (KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2) reading the log costs little, and only the pages that are taken are protected again.
/// </summary>
internal sealed class DirtyPages : IDisposable
{
    private const ulong ManualProtect = 1; // KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE
    private const ulong InitiallySet = 2; // KVM_DIRTY_LOG_INITIALLY_SET
    private const int PagesPerWord = 64;

    private readonly IVm _vm;
    private readonly IGuestMemory _memory;
    private readonly ImmutableArray<MemoryRegion> _regions;
    private readonly ulong[][] _logs;
    private readonly WrittenPages _written;
    private readonly bool _isManual;

    /// <summary>Begins to log. What was written before is not known.</summary>
    public DirtyPages(IVm vm, IGuestMemory memory)
    {
        _vm = vm;
        _memory = memory;
        _regions = memory.Regions;
        _logs = [.. _regions.Select(region => new ulong[PageSet.WordsOf(region)])];
        _written = memory.Written ?? new WrittenPages(_regions);
        memory.Written = _written;

        // Initially set: switching the log on protects nothing, so the guest does not stand still while all its pages are.
        var flags = (ulong)vm.CheckExtension(KvmCapability.ManualDirtyLogProtect2) & (ManualProtect | InitiallySet);
        _isManual = (flags & ManualProtect) != 0;
        if (_isManual)
            vm.EnableCapability(new EnabledCapability(KvmCapability.ManualDirtyLogProtect2, 0, [flags]));
        foreach (var region in _regions)
            vm.SetDirtyLogging(region.Slot, on: true);
    }

    /// <summary>
    /// Takes what was written. A page's content must be read after this: a write that is under way meanwhile is then either seen or taken
    /// the next time. It allocates nothing.
    /// </summary>
    public void MoveTo(PageSet pages)
    {
        for (var i = 0; i < _regions.Length; i++)
        {
            var log = _logs[i];
            _vm.GetDirtyLog(_regions[i].Slot, log);
            pages.Add(i, log);
            var first = log.AsSpan().IndexOfAnyExcept(0UL);
            if (_isManual && first >= 0)
                Protect(i, first, log.AsSpan().LastIndexOfAnyExcept(0UL));
        }

        _written.MoveTo(pages);
    }

    /// <summary>
    /// Adds what was written, without protecting it again, which costs time for each page: it may be told again the next time, with what is
    /// written from now on. It allocates nothing.
    /// </summary>
    public void AddTo(PageSet pages)
    {
        for (var i = 0; i < _regions.Length; i++)
        {
            var log = _logs[i];
            _vm.GetDirtyLog(_regions[i].Slot, log);
            pages.Add(i, log);
        }

        _written.MoveTo(pages);
    }

    /// <summary>Ends the log.</summary>
    public void Dispose()
    {
        _memory.Written = null;
        foreach (var region in _regions)
        {
            try
            {
                _vm.SetDirtyLogging(region.Slot, on: false);
            }
            catch (KvmException)
            {
                // The log costs the guest time, and nothing else depends on it.
            }
            catch (ObjectDisposedException)
            {
                return; // With the VM its log has ended.
            }
        }
    }

    // num_pages is a multiple of 64, or goes up to the end of the slot (KVM_CLEAR_DIRTY_LOG, api.rst 4.117).
    private void Protect(int region, int first, int last)
    {
        var pages = Math.Min((long)(last - first + 1) * PagesPerWord, PageSet.PagesOf(_regions[region]) - ((long)first * PagesPerWord));
        _vm.ClearDirtyLog(_regions[region].Slot, (ulong)first * PagesPerWord, (uint)pages, _logs[region].AsSpan(first, last - first + 1));
    }
}
