# The guest `writer`: writes scattered pages at a set rate, counts what it does, and measures the gaps in its own time.
#
# Long mode, CPL 3, no stack, no interrupts, port IO allowed. Everything that depends on the machine arrives in registers:
#
#   rdi  this vCPU's own page                 r12  the control page, which only the host writes
#   rsi  first page of the working area       r8   how many pages it has
#   r9   how far from one page to the next, in pages, prime to r8   r10  the page to write next
#   rbp  rounds of the loop                   r13  pages written
#   r11  the TSC of the round before          rbx  the TSC at which the next page is due
#   rax, rcx, rdx  scratch

        .intel_syntax noprefix
        .text

        .equ    HoldPort, 0xc40                 # OUT: the host lets it go on when it wants
        .equ    OwnRounds, 0x00                 # offsets in the vCPU's own page
        .equ    OwnWrites, 0x08
        .equ    OwnLongestGap, 0x10             # in ticks of the TSC, since the host last cleared it
        .equ    ControlPeriod, 0x00             # offsets in the control page: ticks from one write to the next, 0 for none
        .equ    ControlHold, 0x08               # not 0: hold
        .equ    LongestDebt, 30000000           # ticks; what the guest is further behind than this is forgiven

Start:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        mov     r11, rax
        mov     rbx, rax
Loop:
        rdtsc
        shl     rdx, 32
        or      rax, rdx
        mov     rcx, rax
        sub     rcx, r11
        mov     r11, rax
        cmp     rcx, [rdi + OwnLongestGap]
        jbe     NoGap
        mov     [rdi + OwnLongestGap], rcx
NoGap:
        add     rbp, 1
        mov     [rdi + OwnRounds], rbp
        cmp     dword ptr [r12 + ControlHold], 0
        jne     Hold
        mov     rcx, [r12 + ControlPeriod]
        test    rcx, rcx
        jz      NothingIsDue
        cmp     rax, rbx
        jb      Loop

        mov     rdx, r10
        shl     rdx, 12
        mov     [rsi + rdx + 64], rax
        add     r13, 1
        mov     [rdi + OwnWrites], r13
        add     r10, r9
        cmp     r10, r8
        jb      Inside
        sub     r10, r8
Inside:
        add     rbx, rcx
        sub     rax, rbx
        cmp     rax, LongestDebt
        jl      Loop
        add     rbx, rax
        jmp     Loop
NothingIsDue:
        mov     rbx, rax
        jmp     Loop

Hold:
        mov     edx, HoldPort
        out     dx, eax
        jmp     Start
