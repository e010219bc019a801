// SPDX-License-Identifier: GPL-2.0
/*
 * What it takes to get and set the registers of a vCPU, one by one and batched. On a machine whose clock counts
 * instructions (QEMU's -icount shift=0) the figures are instructions, and the same every time; elsewhere nanoseconds.
 *
 * Prints a line for each number of registers, `@count REGISTERS BYTES GET-ONE GET-MANY SETTABLE SET-ONE SET-MANY`:
 * the cost of getting the first REGISTERS of the vCPU's list, of BYTES in all, and of setting those SETTABLE of them that
 * can be set to what they are.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

/* A kernel without the two ioctls has headers without them. */
#ifndef KVM_GET_MANY_REGS
struct kvm_many_regs {
	__u64 n;
	struct kvm_one_reg reg[];
};
#define KVM_GET_MANY_REGS	_IOW(KVMIO, 0xc7, struct kvm_many_regs)
#define KVM_SET_MANY_REGS	_IOW(KVMIO, 0xc8, struct kvm_many_regs)
#endif

#define MAX_REGS	1024
#define MAX_REG_SIZE	256
#define ROUNDS		8
/* Calls in a round: the clock ticks every 16 ns, and this many make it as fine as one. */
#define REPEATS		16

static int vcpu;
static struct {
	__u64 n;
	__u64 id[MAX_REGS];
} list = { .n = MAX_REGS };
static struct {
	__u64 n;
	struct kvm_one_reg reg[MAX_REGS];
} gets, sets;
static uint8_t values[MAX_REGS * MAX_REG_SIZE];

static int require(int result, const char *what)
{
	if (result < 0) {
		fprintf(stderr, "count: %s: %s\n", what, strerror(errno));
		exit(1);
	}
	return result;
}

static size_t size_of(__u64 id)
{
	return 1 << ((id & KVM_REG_SIZE_MASK) >> KVM_REG_SIZE_SHIFT);
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* A vCPU with all that the CPU offers */
static void make_vcpu(void)
{
	int kvm = require(open("/dev/kvm", O_RDWR), "/dev/kvm");
	int vm = require(ioctl(kvm, KVM_CREATE_VM, 0), "KVM_CREATE_VM");

#ifdef __aarch64__
	struct kvm_create_device gic = { .type = KVM_DEV_TYPE_ARM_VGIC_V3 };
	struct kvm_vcpu_init init;
	int sve = ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_SVE) > 0;
	int feature = KVM_ARM_VCPU_SVE;

	ioctl(vm, KVM_CREATE_DEVICE, &gic);
	vcpu = require(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
	require(ioctl(vm, KVM_ARM_PREFERRED_TARGET, &init), "KVM_ARM_PREFERRED_TARGET");
	init.features[0] |= 1 << KVM_ARM_VCPU_PSCI_0_2;
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PMU_V3) > 0)
		init.features[0] |= 1 << KVM_ARM_VCPU_PMU_V3;
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_ADDRESS) > 0)
		init.features[0] |= 1 << KVM_ARM_VCPU_PTRAUTH_ADDRESS;
	if (ioctl(vm, KVM_CHECK_EXTENSION, KVM_CAP_ARM_PTRAUTH_GENERIC) > 0)
		init.features[0] |= 1 << KVM_ARM_VCPU_PTRAUTH_GENERIC;
	if (sve)
		init.features[0] |= 1 << KVM_ARM_VCPU_SVE;
	require(ioctl(vcpu, KVM_ARM_VCPU_INIT, &init), "KVM_ARM_VCPU_INIT");
	if (sve)
		require(ioctl(vcpu, KVM_ARM_VCPU_FINALIZE, &feature), "KVM_ARM_VCPU_FINALIZE");
#else
	vcpu = require(ioctl(vm, KVM_CREATE_VCPU, 0), "KVM_CREATE_VCPU");
#endif
	require(ioctl(vcpu, KVM_GET_REG_LIST, &list), "KVM_GET_REG_LIST");
}

/* The first n registers into `gets`, those of them that can be set into `sets`; returns the bytes of their values. */
static size_t choose(__u64 n)
{
	size_t bytes = 0;

	gets.n = sets.n = 0;
	for (__u64 i = 0; i < n; i++) {
		struct kvm_one_reg reg = { .id = list.id[i], .addr = (uintptr_t)values + bytes };

		require(ioctl(vcpu, KVM_GET_ONE_REG, &reg), "KVM_GET_ONE_REG");
		gets.reg[gets.n++] = reg;
		if (!ioctl(vcpu, KVM_SET_ONE_REG, &reg))
			sets.reg[sets.n++] = reg;
		bytes += size_of(reg.id);
	}
	return bytes;
}

/* The least of some rounds: one without the tick's interrupt in it, where it is short enough */
static uint64_t one_by_one(unsigned long request, struct kvm_one_reg *reg, __u64 n)
{
	uint64_t least = ~0ull;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now(), taken;

		for (int repeat = 0; repeat < REPEATS; repeat++)
			for (__u64 i = 0; i < n; i++)
				require(ioctl(vcpu, request, &reg[i]), "one by one");
		taken = (now() - start) / REPEATS;
		if (taken < least)
			least = taken;
	}
	return least;
}

static uint64_t batched(unsigned long request, void *regs)
{
	uint64_t least = ~0ull;

	for (int round = 0; round < ROUNDS; round++) {
		uint64_t start = now(), taken;

		for (int repeat = 0; repeat < REPEATS; repeat++)
			require(ioctl(vcpu, request, regs), "batched");
		taken = (now() - start) / REPEATS;
		if (taken < least)
			least = taken;
	}
	return least;
}

int main(void)
{
	__u64 numbers[] = { 1, 8, 64, MAX_REGS };

	make_vcpu();
	/* No page of the values is touched for the first time while time is taken. */
	memset(values, 1, sizeof(values));

	for (unsigned int i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		__u64 n = numbers[i] < list.n ? numbers[i] : list.n;
		size_t bytes = choose(n);

		/* Sets come first: they write what was just read. */
		uint64_t set_one = one_by_one(KVM_SET_ONE_REG, sets.reg, sets.n);
		uint64_t set_many = batched(KVM_SET_MANY_REGS, &sets);
		uint64_t get_one = one_by_one(KVM_GET_ONE_REG, gets.reg, gets.n);
		uint64_t get_many = batched(KVM_GET_MANY_REGS, &gets);

		printf("@count %llu %zu %llu %llu %llu %llu %llu\n",
		       (unsigned long long)gets.n, bytes,
		       (unsigned long long)get_one, (unsigned long long)get_many, (unsigned long long)sets.n,
		       (unsigned long long)set_one, (unsigned long long)set_many);
	}
	return 0;
}
