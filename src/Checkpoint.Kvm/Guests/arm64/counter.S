// The guest `counter` for AArch64: steps x(n+1) = x(n) * MULTIPLIER + increment and carries n in every kind of register.
//
// EL1, memory mapped to itself, no stack, no interrupts. Everything that depends on the machine arrives in registers:
//
//   x0   x(n)                                 x1   multiplier of the step       x2   increment of the step
//   x3   n                                    x4   this vCPU's own page
//   x5   first page of the working area       x6   its length in bytes          x7   offset of the page to write next
//   x8   numbers taken from the device        x9   walk mask: a page is written when n & x9 = 0
//   x10  exit mask: the device is read when n & x10 = 0 (x10 has every bit of x9)
//   x11  the sequence device's registers      v15  n in both lanes              v14  1 in both lanes
//   x12, x13  scratch
//
// One rule makes a stop at any instruction checkable: each carrier of n changes in exactly one instruction, the label
// behind that instruction bears the carrier's name, and the labels of a step ascend. So a carrier is one step ahead of
// the completed steps exactly when pc has reached its label. The device is memory without a slot: a load or store there
// leaves the guest (KVM_EXIT_MMIO), and its plain form lets KVM know register and width without reading the instruction.
//
// Both guests together are these forms of instructions and no others; whoever interprets them needs no more:
//
//   ADD Xd, Xn, #imm{, LSL #12}   ADD Wd, Wn, #imm       ADD Xd, Xn, Xm         SUBS Xd, Xn, #imm (CMP)
//   SUBS Xd|Wd, n, m (CMP)        ANDS Xd, Xn, Xm (TST)  ANDS Wd, Wn, #imm (TST)  AND Xd, Xn, Xm    AND Xd, Xn, #imm
//   UBFM Xd, Xn, #r, #s (LSR, LSL)  MOVZ Xd, #imm        MADD Xd, Xn, Xm, Xa    CSEL Xd, Xn, Xm, HS
//   LDR Wt, [Xn, #imm]            STR Xt|Wt, [Xn, #imm]  STR Xt, [Xn, Xm]       SWPAL Xs, Xt, [Xn]
//   B   B.NE   B.LO   CBZ Xt   TBNZ Wt, #bit   YIELD     MOVI Vd.2D, #0         DUP Vd.2D, Xn   ADD Vd.2D, Vn.2D, Vm.2D

        .arch   armv8-a
        .text

        .equ    SequenceOffset, 0               // load: the next number of this vCPU, 32 bits
        .equ    ReportOffset, 4                 // store: the count so far, after every ReportEvery numbers, 32 bits
        .equ    ReportEvery, 16
        .equ    PageOfX, 0x00                   // offsets in the vCPU's own page
        .equ    PageOfN, 0x08
        .equ    PageOfCount, 0x10
        .equ    PageOfError, 0x18               // 1 once the device gave a wrong number
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28

CodeStart:
        movi    v15.2d, #0                      // n = 0
        mov     x12, #1
        dup     v14.2d, x12

LoopStart:
        madd    x0, x0, x1, x2
XInRegister:
        add     x3, x3, #1
NInRegister:
        add     v15.2d, v15.2d, v14.2d
NInVector:
        str     x0, [x4, #PageOfX]
XInMemory:
        str     x3, [x4, #PageOfN]
NInMemory:
        tst     x3, x9
        b.ne    LoopStart

        str     x3, [x5, x7]                    // a dirty page whose content follows from n
PageWritten:
        add     x12, x7, #1, lsl #12
        cmp     x12, x6
        csel    x7, xzr, x12, hs                // past the last page: back to the first
PageAdvanced:
        tst     x3, x10
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
