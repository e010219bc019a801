// Copyright (c) 2026 The Checkpoint authors. MIT licence.
//
// The least that bringing back a machine lazily can cost: a VM whose memory comes out of a file through a userfaultfd, 2 MiB at a time, moved
// into place as huge pages, while two threads bring in the rest. Nothing is checked, and only the registers that the guest needs are set.
//
//   restore IMAGE MIB     IMAGE: the memory as it is; prints microseconds from the beginning of main: machine ready, first instruction, all memory
//   restore --warm MIB    takes so much memory and gives it back, until that takes no less time than before: where this machine is a guest itself
//                         its host may have taken back what was free, and whoever touches it first waits for the host
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define UNIT (2ul << 20)

// Since Linux 6.8; older headers lack it.
struct move { uint64_t dst, src, len, mode; int64_t move; };
#define MOVE _IOWR(0xaa, 0x05, struct move)
#define FEATURE_MOVE (1ull << 16)

static char *memory;
static uint64_t bytes;
static int image, faults;
static unsigned char *units; // 0 missing, 1 coming or there
static uint64_t filled;

static void check(int ok, const char *what)
{
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1e6 + t.tv_nsec / 1e3;
}

static char *reserve(uint64_t length)
{
    char *at = mmap(NULL, length + UNIT, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    check(at != MAP_FAILED, "mmap");
    at = (char *)(((uintptr_t)at + UNIT - 1) & ~(UNIT - 1));
    madvise(at, length, MADV_HUGEPAGE);
    return at;
}

static void bring(uint64_t unit, char *buffer)
{
    if (__atomic_exchange_n(&units[unit], 1, __ATOMIC_ACQ_REL))
        return;
    for (uint64_t done = 0; done < UNIT;) {
        ssize_t n = pread(image, buffer + done, UNIT - done, unit * UNIT + done);
        check(n > 0, "pread");
        done += n;
    }
    struct move m = { (uintptr_t)memory + unit * UNIT, (uintptr_t)buffer, UNIT, 0, 0 };
    int result;
    do
        result = ioctl(faults, MOVE, &m);
    while (result < 0 && errno == EAGAIN);
    check(result == 0, "UFFDIO_MOVE");
    __atomic_add_fetch(&filled, UNIT, __ATOMIC_ACQ_REL);
}

static void *answer(void *unused)
{
    char *buffer = reserve(UNIT);
    struct uffd_msg message;
    while (read(faults, &message, sizeof message) == sizeof message)
        bring((message.arg.pagefault.address - (uintptr_t)memory) / UNIT, buffer);
    return unused;
}

static void *prefetch(void *unused)
{
    char *buffer = reserve(UNIT);
    for (uint64_t unit = 0; unit < bytes / UNIT; unit++)
        bring(unit, buffer);
    return unused;
}

static void enter(int kvm, int vcpu)
{
    struct kvm_cpuid2 *cpuid = calloc(1, sizeof *cpuid + 256 * sizeof cpuid->entries[0]);
    cpuid->nent = 256;
    check(ioctl(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) == 0, "KVM_GET_SUPPORTED_CPUID");
    check(ioctl(vcpu, KVM_SET_CPUID2, cpuid) == 0, "KVM_SET_CPUID2");
    struct kvm_sregs s;
    check(ioctl(vcpu, KVM_GET_SREGS, &s) == 0, "KVM_GET_SREGS");
    s.cr0 = 0x80050033;
    s.cr4 = 0x620;
    s.cr3 = 0x2000;
    s.efer = 0x500;
    s.cs = (struct kvm_segment){ .limit = ~0u, .selector = 0x33, .type = 11, .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1 };
    s.ss = (struct kvm_segment){ .limit = ~0u, .selector = 0x2b, .type = 3, .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1 };
    s.ds = s.es = s.fs = s.gs = s.ss;
    s.tr = (struct kvm_segment){ .limit = 0x3ff, .selector = 0x40, .type = 11, .present = 1 };
    s.ldt = (struct kvm_segment){ .type = 2, .unusable = 1 };
    s.gdt.limit = s.idt.limit = 0;
    check(ioctl(vcpu, KVM_SET_SREGS, &s) == 0, "KVM_SET_SREGS");
    struct kvm_regs r = { .rip = 0x1000, .rflags = 2, .rdx = 0xc30 };
    check(ioctl(vcpu, KVM_SET_REGS, &r) == 0, "KVM_SET_REGS");
}

static void warm(uint64_t length)
{
    double before = 1e18;
    for (int i = 0; i < 8; i++) {
        char *at = reserve(length);
        double start = now();
        for (uint64_t page = 0; page < length; page += 4096)
            at[page] = 1;
        double took = now() - start;
        munmap(at, length);
        if (took > 0.8 * before)
            return;
        before = took;
    }
}

static void *run(void *argument)
{
    int vcpu = *(int *)argument;
    for (;;)
        ioctl(vcpu, KVM_RUN, 0);
    return NULL;
}

int main(int argc, char **argv)
{
    double start = now();
    check(argc == 3, "usage: restore IMAGE|--warm MIB");
    bytes = strtoull(argv[2], NULL, 10) << 20;
    if (strcmp(argv[1], "--warm") == 0) {
        warm(bytes);
        return 0;
    }
    image = open(argv[1], O_RDONLY | O_CLOEXEC);
    check(image >= 0, argv[1]);
    units = calloc(bytes / UNIT, 1);
    int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
    check(kvm >= 0, "/dev/kvm");
    int vm = ioctl(kvm, KVM_CREATE_VM, 0);
    check(vm >= 0, "KVM_CREATE_VM");
    memory = reserve(bytes);
    struct kvm_userspace_memory_region slot = { 0, 0, 0, bytes, (uintptr_t)memory };
    check(ioctl(vm, KVM_SET_USER_MEMORY_REGION, &slot) == 0, "KVM_SET_USER_MEMORY_REGION");
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    check(vcpu >= 0, "KVM_CREATE_VCPU");
    int size = ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
    struct kvm_run *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu, 0);
    check(page != MAP_FAILED, "mmap of struct kvm_run");

    faults = syscall(SYS_userfaultfd, O_CLOEXEC);
    struct uffdio_api api = { .api = UFFD_API, .features = FEATURE_MOVE };
    check(faults >= 0 && ioctl(faults, UFFDIO_API, &api) == 0, "userfaultfd");
    struct uffdio_register range = { { (uintptr_t)memory, bytes }, UFFDIO_REGISTER_MODE_MISSING, 0 };
    check(ioctl(faults, UFFDIO_REGISTER, &range) == 0, "UFFDIO_REGISTER");
    pthread_t thread;
    pthread_create(&thread, NULL, answer, NULL);
    enter(kvm, vcpu);
    double ready = now() - start;
    check(ioctl(vcpu, KVM_RUN, 0) == 0 && page->exit_reason == KVM_EXIT_IO, "KVM_RUN");
    double first = now() - start;

    pthread_t running, rest[2];
    pthread_create(&running, NULL, run, &vcpu);
    for (int i = 0; i < 2; i++)
        pthread_create(&rest[i], NULL, prefetch, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(rest[i], NULL);
    // The last ones may still be on their way, by the thread that answers faults.
    while (__atomic_load_n(&filled, __ATOMIC_ACQUIRE) < bytes)
        ;
    printf("%.0f %.0f %.0f\n", ready, first, now() - start);
    fflush(stdout);
    _exit(0);
}
