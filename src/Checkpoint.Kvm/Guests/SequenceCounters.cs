using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>What the sequence device knows of one vCPU.</summary>
/// <param name="Issued">How many numbers it has given out; the last one given is the same.</param>
/// <param name="Reports">How many reports it has got.</param>
/// <param name="WrongReports">How many of them came twice, too early or too late.</param>
/// <param name="LastReport">The payload of the last report.</param>
[StructLayout(LayoutKind.Auto)]
public readonly record struct SequenceCounters(ulong Issued, ulong Reports, ulong WrongReports, uint LastReport);
