# The guest `timer`: the counter's step, in vectors of every width, under a LAPIC timer and a hardware breakpoint.
#
# Long mode. The loop runs at CPL 3 without a stack and with interrupts on; two handlers run at CPL 0, on the stack that the
# task state segment names. At every tick the timer's handler meets the breakpoint of dr0, reads the debug registers, takes a
# number from the sequence port and arms the timer again: a tick that is lost is the last one. The breakpoint is in the
# handler because a KVM that runs CPL 3 in the host's user mode does not load the guest's debug registers there.
#
# What depends on the machine arrives in registers and in the vCPU's own page:
#
#   rbx  x(n)                                 rsi  multiplier of the step       r8   increment of the step
#   rbp  n                                    rdi  this vCPU's own page         rsp  a mark that nothing uses
#   r9   first page of the working area       r10  its length in bytes          r11  offset of the page to write next
#   r12, r14  marks that nothing uses         r13  walk mask: a page is written when n & r13 = 0
#   r15  0: n in xmm15; 1: in ymm15; 2: in zmm15, zmm31 and k1                  rax, rcx, rdx  scratch
#
# Adding vector 14 to vector 15 (30 to 31, k2 to k1) makes the step; all other vectors and masks stay as they began.
#
# One rule makes a stop at any instruction checkable: each carrier changes in exactly one instruction, the label behind
# that instruction bears the carrier's name, and the labels of a step ascend, as do those of a handler. So a carrier is one
# step ahead exactly when rip has reached its label. While a handler runs, the rip of the loop is in the frame on the stack.

        .intel_syntax noprefix
        .text

        .equ    SequencePort, 0xc30             # IN: the next number of this vCPU, taken at every tick
        .equ    ReportPort, 0xc34               # OUT: the count so far, after every ReportEvery numbers
        .equ    ReportEvery, 16
        .equ    PageOfX, 0x00                   # offsets in the vCPU's own page
        .equ    PageOfN, 0x08
        .equ    PageOfTicks, 0x10
        .equ    PageOfError, 0x18               # 1 once the port gave a wrong number
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28
        .equ    PageOfTraps, 0x30               # how often the breakpoint was met
        .equ    PageOfDeadline, 0x38            # 0: one-shot by count, 1: by TSC deadline
        .equ    PageOfPeriod, 0x40              # from one tick to the next, in counts of the timer or cycles of the TSC
        .equ    PageOfDebug, 0x48               # dr0 to dr3 and dr7 as they must be
        .equ    PageOfWrongDebug, 0x70          # bits of each that ever read otherwise
        .equ    PageOfWrongDr6, 0x98            # bits of dr6 that were ever not those of the breakpoint
        .equ    PageOfVectors, 0x200            # 32 vectors of 64 bytes: what zmm0 to zmm31 begin with
        .equ    PageOfMasks, 0xa00              # what k0 to k7 begin with

        .equ    InitialCountMsr, 0x838          # the local APIC in x2APIC mode
        .equ    EndOfInterruptMsr, 0x80b
        .equ    DeadlineMsr, 0x6e0
        .equ    Dr6AtRest, 0xffff0ff0
        .equ    Dr6Conditions, 0xf00f           # what the other bits are differs by processor

CodeStart:
        fninit                                  # 64-bit mantissas, or adding 1.0 would stop being exact at 2^53
        fld1
        fldz                                    # st(0) = n = 0, st(1) = 1.0
        cmp     r15d, 1
        ja      LoadZmm
        je      LoadYmm
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movdqu  xmm\i, [rdi + PageOfVectors + 64 * \i]
        .endr
        jmp     LoopStart
LoadYmm:
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu ymm\i, [rdi + PageOfVectors + 64 * \i]
        .endr
        jmp     LoopStart
LoadZmm:
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31
        vmovdqu64 zmm\i, [rdi + PageOfVectors + 64 * \i]
        .endr
        .irp    i, 0, 1, 2, 3, 4, 5, 6, 7
        kmovq   k\i, [rdi + PageOfMasks + 8 * \i]
        .endr

LoopStart:
        mov     rdx, rbx                        # in scratch, so that rbx never holds half a step
        imul    rdx, rsi
        add     rdx, r8
        mov     rbx, rdx
XInRegister:
        add     rbp, 1
NInRegister:
        fadd    st(0), st(1)
NInX87:
        cmp     r15d, 1
        ja      StepZmm
        je      StepYmm
        paddq   xmm15, xmm14
NInXmm:
        jmp     NInVectors
StepYmm:
        vpaddq  ymm15, ymm15, ymm14
NInYmm:
        jmp     NInVectors
StepZmm:
        vpaddq  zmm15, zmm15, zmm14
NInZmm:
        vpaddq  zmm31, zmm31, zmm14
NInHighZmm:
        kaddq   k1, k1, k2
NInMask:
NInVectors:
        mov     [rdi + PageOfX], rbx
XInMemory:
        mov     [rdi + PageOfN], rbp
NInMemory:
        test    rbp, r13
        jnz     LoopStart

        mov     [r9 + r11], rbp                 # a dirty page whose content follows from n
PageWritten:
        lea     rdx, [r11 + 4096]
        xor     ecx, ecx
        cmp     rdx, r10
        cmovae  rdx, rcx                        # past the last page: back to the first
        mov     r11, rdx
PageAdvanced:
        jmp     LoopStart
LoopEnd:

TimerHandler:
        push    rax
        push    rcx
        push    rdx
Breakpoint:
        nop                                     # dr0 points here: the trap's handler steps over it
BreakpointPassed:
        mov     rax, dr0                        # the guest sees for itself that they came back
        xor     rax, [rdi + PageOfDebug]
        or      [rdi + PageOfWrongDebug], rax
        mov     rax, dr1
        xor     rax, [rdi + PageOfDebug + 8]
        or      [rdi + PageOfWrongDebug + 8], rax
        mov     rax, dr2
        xor     rax, [rdi + PageOfDebug + 16]
        or      [rdi + PageOfWrongDebug + 16], rax
        mov     rax, dr3
        xor     rax, [rdi + PageOfDebug + 24]
        or      [rdi + PageOfWrongDebug + 24], rax
        mov     rax, dr7
        xor     rax, [rdi + PageOfDebug + 32]
        or      [rdi + PageOfWrongDebug + 32], rax
        mov     rcx, [rdi + PageOfTicks]
        add     rcx, 1
        mov     [rdi + PageOfTicks], rcx
TickCounted:
        mov     edx, SequencePort
        in      eax, dx
TickTaken:
        cmp     eax, ecx
        jne     SequenceBroken                  # a completion was lost or came twice
        test    ecx, ReportEvery - 1
        jnz     Arm
        mov     edx, ReportPort
        mov     eax, ecx
        out     dx, eax
Reported:
Arm:
        test    byte ptr [rdi + PageOfDeadline], 1
        jnz     ArmDeadline
        xor     edx, edx                        # without this there is never another tick
        mov     eax, [rdi + PageOfPeriod]
        mov     ecx, InitialCountMsr
        wrmsr
ArmedCount:
        jmp     Armed
ArmDeadline:
        rdtsc
        shl     rdx, 32
        add     rax, rdx
        add     rax, [rdi + PageOfPeriod]
        mov     rdx, rax
        shr     rdx, 32
        mov     ecx, DeadlineMsr
        wrmsr
ArmedDeadline:
Armed:
        xor     eax, eax
        xor     edx, edx
        mov     ecx, EndOfInterruptMsr
        wrmsr
Acknowledged:
        pop     rdx
        pop     rcx
        pop     rax
        iretq

TrapHandler:
        push    rax
        mov     rax, dr6
        and     eax, Dr6Conditions
        xor     eax, 1                          # it was breakpoint 0 and nothing else
        or      [rdi + PageOfWrongDr6], rax
        mov     eax, Dr6AtRest                  # its bits stay until somebody clears them
        mov     dr6, rax
Dr6Cleared:
        add     qword ptr [rdi + PageOfTraps], 1
TrapCounted:
        add     qword ptr [rsp + 8], 1          # a breakpoint comes before its instruction, which is a byte long
TrapPassed:
        pop     rax
        iretq
HandlersEnd:

SequenceBroken:
        mov     [rdi + PageOfExpected], rcx
        mov     [rdi + PageOfFound], rax
        mov     qword ptr [rdi + PageOfError], 1
Stopped:
        pause                                   # a spin can still be parked and looked at
        jmp     Stopped
CodeEnd:
