// The guest `ledger` for AArch64: vCPUs pass tokens through slots in shared memory.
//
// EL1, memory mapped to itself, no stack, no interrupts. A token is a nonzero 64-bit value: identity in the low 16 bits,
// hop count above. Everything that depends on the machine arrives in registers:
//
//   x19, x20, x21, x22  the hands: a token or 0
//   x0   random number of this step           x1   multiplier                   x7   increment of the random numbers
//   x2   steps                                x3   hops raised by this vCPU     x4   this vCPU's own page
//   x5   first page of the slots              x6   slot mask: random & x6 is a slot
//   x8   numbers taken from the device        x10  exit mask: the device is read when steps & x10 = 0
//   x11  the sequence device's registers      x12, x13  scratch, and never a token
//
// A token moves by SWPAL alone, between a slot and the hand that the random number chooses (atomic between vCPUs, one
// instruction), so between any two instructions of any vCPU each token is exactly once in the slots and the hands. The
// hands that are not chosen hold their tokens from step to step. SWPAL needs the large system extensions (FEAT_LSE, Armv8.1).
//
// The counters change in one instruction each, the label behind it bears the counter's name, and the labels ascend: a
// counter is one step ahead exactly when pc has reached its label. The hop of a token is raised in one of four places, each
// with its label; from there until HopCounted it is not counted yet. counter.S lists the forms of instructions.

        .arch   armv8-a+lse
        .text

        .equ    SequenceOffset, 0               // load: the next number of this vCPU, 32 bits
        .equ    ReportOffset, 4                 // store: the count so far, after every ReportEvery numbers, 32 bits
        .equ    ReportEvery, 16
        .equ    OneHop, 0x10000                 // above the identity
        .equ    PageOfSteps, 0x00               // offsets in the vCPU's own page
        .equ    PageOfHops, 0x08
        .equ    PageOfCount, 0x10
        .equ    PageOfError, 0x18               // 1 once the device gave a wrong number
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28

CodeStart:
LoopStart:
        madd    x0, x0, x1, x7
RandomDrawn:
        add     x2, x2, #1
StepCounted:
        str     x2, [x4, #PageOfSteps]
StepStored:
        lsr     x12, x0, #32                    // the low bits of such a generator repeat too soon
        and     x12, x12, x6
        add     x12, x5, x12
        lsr     x13, x0, #56                    // bits 56 and 57 of the random number choose the hand
        tbnz    w13, #1, HighHands
        tbnz    w13, #0, Hand20
        swpal   x19, x19, [x12]                 // atomic: the token is never in two places, never in none
Swapped19:
        cbz     x19, HandSettled                // an empty hand must not become a token
        add     x19, x19, #OneHop
HopRaised19:
        b       HopRaised
Hand20:
        swpal   x20, x20, [x12]
Swapped20:
        cbz     x20, HandSettled
        add     x20, x20, #OneHop
HopRaised20:
        b       HopRaised
HighHands:
        tbnz    w13, #0, Hand22
        swpal   x21, x21, [x12]
Swapped21:
        cbz     x21, HandSettled
        add     x21, x21, #OneHop
HopRaised21:
        b       HopRaised
Hand22:
        swpal   x22, x22, [x12]
Swapped22:
        cbz     x22, HandSettled
        add     x22, x22, #OneHop
HopRaised:
        add     x3, x3, #1
HopCounted:
        str     x3, [x4, #PageOfHops]
HopStored:
HandSettled:
        lsr     x13, x0, #48
        and     x13, x13, #0xff
        cmp     x13, #240
        b.lo    HoldDone                        // one step in 16 holds its tokens in registers for long
        lsl     x13, x13, #4
Hold:
        subs    x13, x13, #1
        b.ne    Hold
HoldDone:
        tst     x2, x10
        b.ne    LoopStart

        ldr     w12, [x11, #SequenceOffset]
SequenceTaken:
        add     w13, w8, #1
        cmp     w12, w13
        b.ne    SequenceBroken                  // a completion was lost or came twice
        add     x8, x8, #1
SequenceCounted:
        str     x8, [x4, #PageOfCount]
SequenceStored:
        tst     w8, #ReportEvery - 1
        b.ne    LoopStart
        str     w8, [x11, #ReportOffset]
Reported:
        b       LoopStart
LoopEnd:

SequenceBroken:
        str     x13, [x4, #PageOfExpected]
        str     x12, [x4, #PageOfFound]
        mov     x12, #1
        str     x12, [x4, #PageOfError]
Stopped:
        yield                                   // no WFI: a spin can still be parked and looked at
        b       Stopped
CodeEnd:
