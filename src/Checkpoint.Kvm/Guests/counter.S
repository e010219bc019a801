# The guest `counter`: steps x(n+1) = x(n) * MULTIPLIER + increment and carries n in every kind of register.
#
# Long mode, CPL 3, no stack, no interrupts, port IO allowed. Everything that depends on the machine arrives in registers:
#
#   rbx  x(n)                                 rsi  multiplier of the step       r8   increment of the step
#   rbp  n                                    rdi  this vCPU's own page
#   r9   first page of the working area       r10  its length in bytes          r11  offset of the page to write next
#   r12  values taken from the sequence port  r13  walk mask: a page is written when n & r13 = 0
#   r14  exit mask: the port is read when n & r14 = 0 (r14 has every bit of r13)
#   r15  0: n in xmm15, 1: n in all of ymm15  rax, rcx, rdx  scratch
#
# One rule makes a stop at any instruction checkable: each carrier of n changes in exactly one instruction, the label
# behind that instruction bears the carrier's name, and the labels of a step ascend. So a carrier is one step ahead of
# the completed steps exactly when rip has reached its label.

        .intel_syntax noprefix
        .text

        .equ    SequencePort, 0xc30             # IN: the next number of this vCPU
        .equ    ReportPort, 0xc34               # OUT: the count so far, after every ReportEvery numbers
        .equ    ReportEvery, 16
        .equ    PageOfX, 0x00                   # offsets in the vCPU's own page
        .equ    PageOfN, 0x08
        .equ    PageOfCount, 0x10
        .equ    PageOfError, 0x18               # 1 once the port gave a wrong number
        .equ    PageOfExpected, 0x20
        .equ    PageOfFound, 0x28

CodeStart:
        fninit                                  # 64-bit mantissas, or adding 1.0 would stop being exact at 2^53
        fld1
        fldz                                    # st(0) = n = 0, st(1) = 1.0
        mov     eax, 1
        movq    xmm14, rax
        punpcklqdq xmm14, xmm14
        pxor    xmm15, xmm15
        test    r15d, r15d
        jz      LoopStart                       # without AVX the next three would be undefined
        vpxor   xmm15, xmm15, xmm15             # the VEX form also clears the high half
        vinserti128 ymm14, ymm14, xmm14, 1

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
        test    r15d, r15d
        jz      NInXmmNext
        vpaddq  ymm15, ymm15, ymm14
NInYmm:
        jmp     NInXmm
NInXmmNext:
        paddq   xmm15, xmm14
NInXmm:
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
        test    rbp, r14
        jnz     LoopStart

        mov     edx, SequencePort
        in      eax, dx
SequenceTaken:
        lea     ecx, [r12 + 1]
        cmp     eax, ecx
        jne     SequenceBroken                  # a completion was lost or came twice
        add     r12, 1
SequenceCounted:
        mov     [rdi + PageOfCount], r12
SequenceStored:
        test    r12d, ReportEvery - 1
        jnz     LoopStart
        mov     edx, ReportPort
        mov     eax, r12d
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
