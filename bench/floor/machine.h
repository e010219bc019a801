/* SPDX-License-Identifier: MIT */
/* A machine with the guest of bench/guest/writer.S, on /dev/kvm and nothing else. */
#ifndef FLOOR_MACHINE_H
#define FLOOR_MACHINE_H

#include <linux/kvm.h>
#include <stddef.h>
#include <stdint.h>

enum {
	MAX_VCPUS = 8,
	PAGE = 4096,
	CONTROL = 0x2000,	/* guest physical addresses: the page that only the host writes */
	OWN = 0x3000,		/* one page a vCPU */
	AREA = 2 << 20,		/* what the vCPUs share out to write in */
	OWN_ROUNDS = 0, OWN_WRITES = 8, OWN_LONGEST_GAP = 16,
	CONTROL_PERIOD = 0, CONTROL_HOLD = 8,
	HOLD_PORT = 0xc40,
};

struct slot {
	uint64_t guest, size;
	uint8_t *host;
};

struct vcpu_state {
	struct kvm_mp_state mp;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debug;
	struct kvm_lapic_state lapic;
	struct kvm_sync_regs sync;
	uint64_t tsc_offset;
	void *xsave;
	struct kvm_msrs *msrs;
};

struct machine {
	int fd, vcpus;
	uint64_t bytes;
	int slots;
	struct slot slot[2];
	int vcpu[MAX_VCPUS];
	struct kvm_run *run[MAX_VCPUS];
	struct vcpu_state state[MAX_VCPUS];
	struct kvm_pit_state2 pit;
	struct kvm_clock_data clock;
	struct kvm_irqchip chip[3];
};

void die(const char *what);
int64_t now_ns(void);

void machine_create(struct machine *m, uint64_t bytes, int vcpus, const char *code);
uint8_t *machine_at(struct machine *m, uint64_t guest);

/* Reads what an engine has to read of one parked vCPU, on its own thread; and of the VM. */
void machine_save_vcpu(struct machine *m, int i);
void machine_save_vm(struct machine *m);

#endif
