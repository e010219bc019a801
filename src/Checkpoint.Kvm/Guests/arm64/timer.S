// The guest `timer` for AArch64: steps x(n+1) = x(n) * MULTIPLIER + increment, and counts the ticks of its virtual timer.
//
// EL1, memory mapped to itself, no stack, a GICv3 in the kernel. Everything that depends on the machine arrives in registers:
//
//   x0   x(n)                                 x1   multiplier of the step       x2   increment of the step
//   x3   n                                    x4   this vCPU's own page         x8   numbers taken from the device
//   x9   the distributor                      x10  this vCPU's redistributor    x11  the sequence device's registers
//   x20  ticks                                x21  ticks of the counter from one tick to the next
//   x12, x13  scratch before the loop         x22 to x25  scratch of the handler
//
// The rule is counter.S's: each carrier changes in exactly one instruction, and is one step ahead exactly when pc has reached
// the label that bears its name. In the handler that pc is in ELR_EL1, and the carriers of ticks have labels of their own.
// A tick arms the next one, so a timer or an interrupt that is lost anywhere stops the ticks for good.
//
// The code lies at the start of a page and the table of vectors is that page: the IRQ of EL1 with its own stack pointer is
// taken at 0x280 (Arm Architecture Reference Manual, D1, "Exception vectors").

        .arch   armv8-a
        .text

        .equ    SequenceOffset, 0               // load: the next number of this vCPU, 32 bits
        .equ    ReportOffset, 4                 // store: the count so far, after every ReportEvery numbers, 32 bits
        .equ    ReportEvery, 16
        .equ    PageOfX, 0x00                   // offsets in the vCPU's own page
        .equ    PageOfN, 0x08
        .equ    PageOfCount, 0x10
        .equ    PageOfError, 0x18               // 1 once the device gave a wrong number or another interrupt came
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28
        .equ    PageOfTicks, 0x30
        .equ    VirtualTimer, 27                // its interrupt, private to each vCPU

CodeStart:
        mov     w12, #0x12                      // GICD_CTLR: affinity routing, group 1
        str     w12, [x9]
        add     x12, x10, #0x10, lsl #12        // the redistributor's second frame
        mov     w13, #-1
        str     w13, [x12, #0x80]               // GICR_IGROUPR0: group 1, all of them
        mov     w13, #1 << VirtualTimer
        str     w13, [x12, #0x100]              // GICR_ISENABLER0
        mov     x13, #1
        msr     S3_0_C12_C12_5, x13             // ICC_SRE_EL1
        isb
        mov     x13, #0xff
        msr     S3_0_C4_C6_0, x13               // ICC_PMR_EL1: every priority
        mov     x13, #1
        msr     S3_0_C12_C12_7, x13             // ICC_IGRPEN1_EL1
        adr     x13, CodeStart
        msr     vbar_el1, x13
        mrs     x13, cntvct_el0
        add     x13, x13, x21
        msr     cntv_cval_el0, x13
        mov     x13, #1
        msr     cntv_ctl_el0, x13
        isb
        msr     daifclr, #2
Interruptible:

LoopStart:
        madd    x0, x0, x1, x2
XInRegister:
        add     x3, x3, #1
NInRegister:
        str     x0, [x4, #PageOfX]
XInMemory:
        str     x3, [x4, #PageOfN]
NInMemory:
        b       LoopStart
LoopEnd:

SequenceBroken:
        str     x25, [x4, #PageOfExpected]
        str     x24, [x4, #PageOfFound]
        b       Broken
Unexpected:
        mov     x24, #VirtualTimer
        str     x24, [x4, #PageOfExpected]
        str     x22, [x4, #PageOfFound]
Broken:
        mov     x24, #1
        str     x24, [x4, #PageOfError]
Stopped:
        yield                                   // no WFI: a spin can still be parked and looked at
        b       Stopped

        // What is not an interrupt never comes: from 0x200 on it would be taken here.
        .rept   (0x280 - (. - CodeStart)) / 4
        b       Stopped
        .endr

Interrupted:
        mrs     x22, S3_0_C12_C12_0             // ICC_IAR1_EL1
        cmp     w22, #VirtualTimer
        b.ne    NoTick
        add     x20, x20, #1
TickInRegister:
        str     x20, [x4, #PageOfTicks]
TickInMemory:
        ldr     w24, [x11, #SequenceOffset]
SequenceTaken:
        add     w25, w8, #1
        cmp     w24, w25
        b.ne    SequenceBroken                  // a completion was lost or came twice
        add     x8, x8, #1
SequenceCounted:
        str     x8, [x4, #PageOfCount]
SequenceStored:
        tst     w8, #ReportEvery - 1
        b.ne    Reported
        str     w8, [x11, #ReportOffset]
Reported:
        mrs     x23, cntvct_el0                 // counted from here: however long the exits took, the loop goes on before the next tick
        add     x23, x23, x21
        msr     cntv_cval_el0, x23              // the line goes low: its interrupt is not pending any more
        isb
        msr     S3_0_C12_C12_1, x22             // ICC_EOIR1_EL1
        eret
NoTick:
        cmp     w22, #1020                      // nothing is pending any more: so the architecture says it, as number 1023
        b.lo    Unexpected
        eret
InterruptEnd:
CodeEnd:
