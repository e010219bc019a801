/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "machine.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

enum {
	CODE = 0x1000, TABLES = 0x10000, TASK_STATE = 0,
	TASK_STATE_BYTES = 0x200, TASK_STATE_BITMAP_POINTER = 0x66, TASK_STATE_BITMAP = 0x68,
	HUGE_PAGE = 2 << 20, MAX_MSRS = 255,
};
static const uint64_t low_end = 3ull << 30, high_start = 4ull << 30;

void die(const char *what)
{
	perror(what);
	exit(1);
}

int64_t now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void call(int fd, unsigned long request, void *argument, const char *name)
{
	if (ioctl(fd, request, argument) < 0)
		die(name);
}
#define CALL(fd, request, argument) call(fd, request, argument, #request)

uint8_t *machine_at(struct machine *m, uint64_t guest)
{
	for (int i = 0; i < m->slots; i++)
		if (guest - m->slot[i].guest < m->slot[i].size)
			return m->slot[i].host + (guest - m->slot[i].guest);
	return NULL;
}

static void add_slot(struct machine *m, uint64_t guest, uint64_t size)
{
	struct slot *s = &m->slot[m->slots];
	uint8_t *raw = mmap(NULL, size + HUGE_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.slot = m->slots, .guest_phys_addr = guest, .memory_size = size,
	};

	if (raw == MAP_FAILED)
		die("mmap of guest memory");
	raw = (uint8_t *)(((uintptr_t)raw + HUGE_PAGE - 1) & ~(uintptr_t)(HUGE_PAGE - 1));
	madvise(raw, size, MADV_HUGEPAGE);
	*s = (struct slot){ guest, size, raw };
	region.userspace_addr = (uintptr_t)raw;
	CALL(m->fd, KVM_SET_USER_MEMORY_REGION, &region);
	m->slots++;
}

/* Linear addresses run through all of the memory without the hole below 4 GiB. */
static void write_tables(struct machine *m)
{
	uint64_t *top = (uint64_t *)machine_at(m, TABLES), *pointers = top + 512;
	uint64_t large = m->bytes / HUGE_PAGE;

	top[0] = (TABLES + PAGE) | 0x27;
	for (uint64_t i = 0; i < large; i++) {
		uint64_t *directory = top + 1024 + i / 512 * 512, guest = i * HUGE_PAGE;

		pointers[i / 512] = (TABLES + (2 + i / 512) * PAGE) | 0x27;
		directory[i % 512] = (guest < low_end ? guest : guest - low_end + high_start) | 0xe7;
	}
}

static void load(struct machine *m, const char *code)
{
	uint8_t *task = machine_at(m, TASK_STATE);
	FILE *file = fopen(code, "rb");

	if (!file || fread(machine_at(m, CODE), 1, PAGE, file) == 0)
		die(code);
	fclose(file);
	task[TASK_STATE_BITMAP_POINTER] = TASK_STATE_BITMAP;
	write_tables(m);
}

static uint64_t stride_for(uint64_t pages)
{
	uint64_t stride = pages * 618 / 1000 | 1;

	/* Prime to the number of pages: the walk then visits every page before it comes back to one. */
	for (;; stride += 2) {
		uint64_t a = pages, b = stride;

		while (b) {
			uint64_t rest = a % b;

			a = b;
			b = rest;
		}
		if (a == 1)
			return stride;
	}
}

static void enter(struct machine *m, int i)
{
	struct kvm_segment code = { .selector = 0x33, .limit = ~0u, .type = 11, .present = 1, .dpl = 3, .s = 1, .l = 1, .g = 1 };
	struct kvm_segment data = { .selector = 0x2b, .limit = ~0u, .type = 3, .present = 1, .dpl = 3, .db = 1, .s = 1, .g = 1 };
	struct kvm_mp_state mp = { .mp_state = KVM_MP_STATE_RUNNABLE };
	uint64_t pages = (m->bytes - AREA) / PAGE / m->vcpus;
	struct kvm_regs regs = {
		.rip = CODE, .rflags = 2, .rdi = OWN + i * PAGE, .r12 = CONTROL, .rsi = AREA + i * pages * PAGE, .r8 = pages,
		.r9 = stride_for(pages),
	};
	struct kvm_sregs s;

	CALL(m->vcpu[i], KVM_SET_MP_STATE, &mp);
	CALL(m->vcpu[i], KVM_GET_SREGS, &s);
	s.cr0 = 0x80050033;
	s.cr3 = TABLES;
	s.cr4 = 0x620;
	s.efer = 0x500;
	s.cs = code;
	s.ss = s.ds = s.es = s.fs = s.gs = data;
	s.tr = (struct kvm_segment){ .selector = 0x40, .base = TASK_STATE, .limit = TASK_STATE_BYTES - 1, .type = 11, .present = 1 };
	s.ldt = (struct kvm_segment){ .type = 2, .unusable = 1 };
	s.gdt.limit = s.idt.limit = 0;
	CALL(m->vcpu[i], KVM_SET_SREGS, &s);
	CALL(m->vcpu[i], KVM_SET_REGS, &regs);
}

/* The MSRs that this kernel lists and this vCPU can read. */
static void list_msrs(struct machine *m, int kvm, int i)
{
	struct kvm_msr_list *list = calloc(1, sizeof(*list) + 1024 * sizeof(__u32));
	struct kvm_msrs *msrs = calloc(1, sizeof(*msrs) + MAX_MSRS * sizeof(struct kvm_msr_entry));

	list->nmsrs = 1024;
	CALL(kvm, KVM_GET_MSR_INDEX_LIST, list);
	for (unsigned at = 0; at < list->nmsrs && msrs->nmsrs < MAX_MSRS; at++) {
		struct { struct kvm_msrs head; struct kvm_msr_entry entry; } one = { { .nmsrs = 1 }, { .index = list->indices[at] } };

		if (ioctl(m->vcpu[i], KVM_GET_MSRS, &one) == 1)
			msrs->entries[msrs->nmsrs++].index = list->indices[at];
	}
	m->state[i].msrs = msrs;
	free(list);
}

static void create_vcpu(struct machine *m, int kvm, int i, struct kvm_cpuid2 *cpuid)
{
	int xsave = ioctl(m->fd, KVM_CHECK_EXTENSION, KVM_CAP_XSAVE2);

	m->vcpu[i] = ioctl(m->fd, KVM_CREATE_VCPU, i);
	if (m->vcpu[i] < 0)
		die("KVM_CREATE_VCPU");
	CALL(m->vcpu[i], KVM_SET_CPUID2, cpuid);
	m->run[i] = mmap(NULL, ioctl(kvm, KVM_GET_VCPU_MMAP_SIZE, 0), PROT_READ | PROT_WRITE, MAP_SHARED, m->vcpu[i], 0);
	if (m->run[i] == MAP_FAILED)
		die("mmap of struct kvm_run");
	m->state[i].xsave = calloc(1, xsave > 4096 ? xsave : 4096);
	list_msrs(m, kvm, i);
	enter(m, i);
}

void machine_create(struct machine *m, uint64_t bytes, int vcpus, const char *code)
{
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	uint64_t low = bytes < low_end ? bytes : low_end;
	struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 256 * sizeof(struct kvm_cpuid_entry2));

	if (kvm < 0)
		die("/dev/kvm");
	m->bytes = bytes;
	m->vcpus = vcpus;
	m->fd = ioctl(kvm, KVM_CREATE_VM, 0);
	if (m->fd < 0)
		die("KVM_CREATE_VM");
	add_slot(m, 0, low);
	if (bytes > low)
		add_slot(m, high_start, bytes - low);
	if (ioctl(m->fd, KVM_SET_TSS_ADDR, 0xfffbd000ul) < 0)
		die("KVM_SET_TSS_ADDR");
	CALL(m->fd, KVM_CREATE_IRQCHIP, NULL);
	CALL(m->fd, KVM_CREATE_PIT2, &pit);
	cpuid->nent = 256;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, cpuid);
	load(m, code);
	for (int i = 0; i < vcpus; i++)
		create_vcpu(m, kvm, i, cpuid);
}

void machine_save_vcpu(struct machine *m, int i)
{
	struct vcpu_state *s = &m->state[i];
	struct kvm_device_attr offset = { .group = KVM_VCPU_TSC_CTRL, .attr = KVM_VCPU_TSC_OFFSET, .addr = (uintptr_t)&s->tsc_offset };
	int fd = m->vcpu[i];

	CALL(fd, KVM_GET_MP_STATE, &s->mp);
	/* General registers and events come with a KVM_RUN that does not enter the guest. */
	m->run[i]->kvm_valid_regs = KVM_SYNC_X86_VALID_FIELDS;
	m->run[i]->immediate_exit = 1;
	ioctl(fd, KVM_RUN, 0);
	m->run[i]->immediate_exit = 0;
	m->run[i]->kvm_valid_regs = 0;
	s->sync = m->run[i]->s.regs;
	CALL(fd, KVM_GET_XSAVE2, s->xsave);
	CALL(fd, KVM_GET_XCRS, &s->xcrs);
	CALL(fd, KVM_GET_DEBUGREGS, &s->debug);
	CALL(fd, KVM_GET_MSRS, s->msrs);
	CALL(fd, KVM_GET_LAPIC, &s->lapic);
	ioctl(fd, KVM_GET_DEVICE_ATTR, &offset);
}

void machine_save_vm(struct machine *m)
{
	CALL(m->fd, KVM_GET_PIT2, &m->pit);
	CALL(m->fd, KVM_GET_CLOCK, &m->clock);
	for (int i = 0; i < 3; i++) {
		m->chip[i].chip_id = i;
		CALL(m->fd, KVM_GET_IRQCHIP, &m->chip[i]);
	}
}
