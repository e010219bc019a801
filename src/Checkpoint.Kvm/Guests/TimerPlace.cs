using System.Runtime.InteropServices;

namespace Checkpoint.Kvm.Guests;

/// <summary>
/// Where a vCPU of the timer guest stands, as offsets in its code: in the loop, in the timer's handler, or in the trap's handler
/// that the breakpoint in the timer's handler has called.
/// </summary>
/// <param name="Loop">rip of the loop: the register, or what the interrupt has pushed.</param>
/// <param name="Timer">rip of the timer's handler; null while it does not run.</param>
/// <param name="Trap">rip of the trap's handler; null while it does not run.</param>
[StructLayout(LayoutKind.Auto)]
internal readonly record struct TimerPlace(ulong Loop, ulong? Timer, ulong? Trap)
{
    /// <summary>An interrupt pushes SS, RSP, RFLAGS, CS and RIP, so the loop's frame lies so far below the top of the stack.</summary>
    public const ulong FrameBytes = 5 * sizeof(ulong);

    /// <summary>The timer's handler has pushed three registers where the breakpoint is: rsp there, below the top.</summary>
    public const ulong DepthAtBreakpoint = FrameBytes + (3 * sizeof(ulong));

    /// <summary>The trap's frame lies so far below the top; the processor aligns rsp to 16 before it, which it is.</summary>
    public const ulong DepthOfTrapFrame = DepthAtBreakpoint + FrameBytes;

    /// <summary>The places in a frame.</summary>
    public const ulong FrameRip = 0;
    public const ulong FrameCs = 8;
    public const ulong FrameRflags = 16;
    public const ulong FrameRsp = 24;
    public const ulong FrameSs = 32;

    /// <summary>Whether the timer's handler runs and its instruction before a label is done.</summary>
    public bool HasPassed(ulong label) => Timer >= label;

    /// <summary>Whether the step's instruction before a label is done.</summary>
    public bool HasStepped(ulong label) => Loop >= label;

    /// <summary>Whether the tick that is being handled has met its breakpoint and counted it.</summary>
    public bool HasCountedTrap => Trap is { } trap ? trap >= TimerCode.TrapCounted : HasPassed(TimerCode.BreakpointPassed);

    /// <summary>Finds the place by rip. It says nothing of whether the frames are sound; null if rip is in none of the three.</summary>
    /// <param name="rip">The register, as an offset in the code.</param>
    /// <param name="loopRip">What stands in the loop's frame, as an offset in the code.</param>
    public static TimerPlace? Find(ulong rip, Func<ulong> loopRip) => rip switch
    {
        < TimerCode.LoopEnd => new TimerPlace(rip, null, null),
        < TimerCode.TrapHandler => new TimerPlace(loopRip(), rip, null),
        < TimerCode.HandlersEnd => new TimerPlace(loopRip(), TimerCode.Breakpoint, rip),
        _ => null,
    };
}
