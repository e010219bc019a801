# The guest `ledger`: vCPUs pass tokens through slots in shared memory.
#
# Long mode, CPL 3, no stack, no interrupts, port IO allowed. A token is a nonzero 64-bit value: identity in the low 16 bits,
# hop count above. Everything that depends on the machine arrives in registers:
#
#   rbx            the hand: a token or 0     r12, r13, r14, r15  the pockets: a token or 0
#   rbp  hops raised by this vCPU             rsi  steps          rdi  this vCPU's own page
#   r8   random number of this step           r9   first page of the slots
#   r10  slot mask: random & r10 is a slot    r11  exit mask: the port is read when steps & r11 = 0
#   rax, rcx, rdx  scratch, and never a token
#
# A token moves by XCHG alone (with memory it is atomic between vCPUs), so between any two instructions of any vCPU
# each token is exactly once in the slots, the hands and the pockets.
#
# The counters change in one instruction each, the label behind it bears the counter's name, and the labels ascend: a
# counter is one step ahead exactly when rip has reached its label.

        .intel_syntax noprefix
        .text

        .equ    SequencePort, 0xc30             # IN: the next number of this vCPU
        .equ    ReportPort, 0xc34               # OUT: the count so far, after every ReportEvery numbers
        .equ    ReportEvery, 16
        .equ    OneHop, 0x10000                 # above the identity
        .equ    PageOfSteps, 0x00               # offsets in the vCPU's own page
        .equ    PageOfHops, 0x08
        .equ    PageOfCount, 0x10
        .equ    PageOfError, 0x18               # 1 once the port gave a wrong number
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28
        .equ    PageOfMultiplier, 0x30          # constants of the random numbers, placed there by the host
        .equ    PageOfIncrement, 0x38

CodeStart:
LoopStart:
        mov     rax, r8                         # in scratch, so that r8 never holds half a step
        imul    rax, [rdi + PageOfMultiplier]
        add     rax, [rdi + PageOfIncrement]
        mov     r8, rax
RandomDrawn:
        add     rsi, 1
StepCounted:
        mov     [rdi + PageOfSteps], rsi
StepStored:
        shr     rax, 32                         # the low bits of such a generator repeat too soon
        and     rax, r10
        xchg    rbx, [r9 + rax]                 # atomic: the token is never in two places, never in none
        test    rbx, rbx
        jz      HandSettled                     # an empty hand must not become a token
        add     rbx, OneHop
HopRaised:
        add     rbp, 1
HopCounted:
        mov     [rdi + PageOfHops], rbp
HopStored:
HandSettled:
        mov     rax, r8
        shr     rax, 48
        movzx   ecx, al
        cmp     ecx, 240
        jb      HoldDone                        # one step in 16 holds its tokens in registers for long
        shl     ecx, 4
Hold:
        sub     ecx, 1
        jnz     Hold
HoldDone:
        shr     eax, 8                          # bits 56 and 57 of the random number choose the pocket
        test    al, 2
        jnz     HighPockets
        test    al, 1
        jnz     PocketR13
        xchg    rbx, r12
        jmp     PocketDone
PocketR13:
        xchg    rbx, r13
        jmp     PocketDone
HighPockets:
        test    al, 1
        jnz     PocketR15
        xchg    rbx, r14
        jmp     PocketDone
PocketR15:
        xchg    rbx, r15
PocketDone:
        test    rsi, r11
        jnz     LoopStart

        mov     rcx, [rdi + PageOfCount]
        add     rcx, 1
        mov     edx, SequencePort
        in      eax, dx
SequenceTaken:
        cmp     eax, ecx
        jne     SequenceBroken                  # a completion was lost or came twice
        mov     [rdi + PageOfCount], rcx
SequenceCounted:
        test    ecx, ReportEvery - 1
        jnz     LoopStart
        mov     edx, ReportPort
        mov     eax, ecx
        out     dx, eax
Reported:
        jmp     LoopStart
LoopEnd:

SequenceBroken:
        mov     [rdi + PageOfExpected], rcx
        mov     [rdi + PageOfFound], rax
        mov     qword ptr [rdi + PageOfError], 1
Stopped:
        pause                                   # no HLT at CPL 3; a spin can still be parked and looked at
        jmp     Stopped
CodeEnd:
