using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Compares what a vCPU has got from the sequence device with what the device has given, at the rip where the vCPU
/// stopped.
/// </summary>
/// <param name="Due">How many numbers the completed steps call for, this step included.</param>
/// <param name="IsDueNow">Whether this step reads the port: until it has, all counts are one behind.</param>
/// <param name="Offset">rip as an offset in the code.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct SequenceCheck(ulong Due, bool IsDueNow, ulong Offset)
{
    /// <summary>The count of a carrier that changes in the instruction before a label.</summary>
    public ulong At(ulong label) => IsDueNow && Offset < label ? Due - 1 : Due;

    public void Check(Findings findings, SequenceCounters device, ulong taken, ulong counted, ulong reported)
    {
        findings.Equal("numbers given by the sequence device", At(taken), device.Issued);

        // The report of the number just counted is still to come.
        var count = At(counted);
        var isReportOpen = IsDueNow
            && Offset >= counted && Offset < reported
            && count % SequenceDevice.ReportEvery == 0;
        var reports = (count / SequenceDevice.ReportEvery) - (isReportOpen ? 1UL : 0);
        findings.Equal("reports got by the sequence device", reports, device.Reports);
        findings.Equal("payload of the last report", (uint)(reports * SequenceDevice.ReportEvery), device.LastReport);
        findings.Equal("reports that did not fit", 0, device.WrongReports);
    }
}
