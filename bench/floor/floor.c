/* SPDX-License-Identifier: MIT */
/*
 * What a pause costs in plain C: kick, registers, wake; and the same with memory taken by pre-copy.
 *
 *     floor CODE MEMORY_MIB VCPUS
 *
 * reads one command a line and answers each with one line:
 *
 *     period TICKS     from one page written to the next, on each vCPU; 0 for none
 *     fill             random bytes all over the area that the guest writes in
 *     go, hold         let the vCPUs run; hold them
 *     begin, end       log what the guest writes from now on, as after a first checkpoint; log no more
 *     floor            kick, registers, wake: "PAUSE_NS"
 *     precopy          a checkpoint's memory into a buffer: "PAUSE_NS ROUNDS LEFT PAGES PRECOPY_NS"
 *     stats            "ROUNDS_OF_THE_LOOP PAGES_WRITTEN LONGEST_GAP_TICKS" since the last time
 *     quit
 */
#define _GNU_SOURCE
#include "machine.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { KICK = 39, FEW_PAGES = 16, MAX_ROUNDS = 30, CHUNK_PAGES = 4096 };

static struct machine m;
static int tid[MAX_VCPUS];

/* The steps of a pause. Whoever completes a step begins the next, so that nobody is woken only to wake others. */
enum { RUN, PARK, CAPTURE };
static _Atomic int step, parked, captured, resumed, held;
static int64_t resumed_at[MAX_VCPUS];
static int captors; /* the vCPUs and the main thread */

static void wait_while(_Atomic int *word, int value)
{
	while (atomic_load(word) == value)
		syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void set_and_wake(_Atomic int *word, int value)
{
	atomic_store(word, value);
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
}

static void captured_one(void)
{
	if (atomic_fetch_add(&captured, 1) + 1 == captors)
		set_and_wake(&step, RUN);
}

static void park(int i)
{
	if (atomic_fetch_add(&parked, 1) + 1 == m.vcpus)
		set_and_wake(&step, CAPTURE);
	wait_while(&step, PARK);
	machine_save_vcpu(&m, i);
	captured_one();
	wait_while(&step, CAPTURE);
	resumed_at[i] = now_ns();
	if (atomic_fetch_add(&resumed, 1) + 1 == m.vcpus)
		syscall(SYS_futex, &resumed, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static void wait_in_hold(void)
{
	_Atomic int *hold = (_Atomic int *)machine_at(&m, CONTROL + CONTROL_HOLD);

	atomic_fetch_add(&held, 1);
	syscall(SYS_futex, &held, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
	while (atomic_load(hold))
		syscall(SYS_futex, hold, FUTEX_WAIT_PRIVATE, 1, NULL, NULL, 0);
	atomic_fetch_sub(&held, 1);
}

static void *run(void *argument)
{
	int i = (int)(intptr_t)argument, taken;
	struct { struct kvm_signal_mask head; uint8_t bits[8]; } mask = { .head.len = 8 };
	struct timespec none = { 0 };
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK);
	pthread_sigmask(SIG_BLOCK, &kick, NULL);
	if (ioctl(m.vcpu[i], KVM_SET_SIGNAL_MASK, &mask) < 0)
		die("KVM_SET_SIGNAL_MASK");
	tid[i] = syscall(SYS_gettid);
	atomic_fetch_add(&parked, 1);
	for (;;) {
		if (ioctl(m.vcpu[i], KVM_RUN, 0) == 0) {
			if (m.run[i]->exit_reason != KVM_EXIT_IO || m.run[i]->io.port != HOLD_PORT) {
				fprintf(stderr, "vcpu %d: exit %u\n", i, m.run[i]->exit_reason);
				exit(1);
			}
			wait_in_hold();
			continue;
		}
		if (errno != EINTR)
			die("KVM_RUN");
		while ((taken = sigtimedwait(&kick, NULL, &none)) > 0)
			;
		if (atomic_load(&step) == PARK)
			park(i);
	}
}

/* What was copied, one page behind another; chunks are taken from the host once and used again. */
static uint8_t **chunk;
static uint64_t chunks, used;

static void make_room(uint64_t pages)
{
	while (chunks * CHUNK_PAGES < used + pages) {
		uint64_t bytes = (uint64_t)CHUNK_PAGES * PAGE;
		uint8_t *new = aligned_alloc(2 << 20, bytes);

		chunk = realloc(chunk, (chunks + 1) * sizeof(*chunk));
		if (!new || !chunk)
			die("buffer");
		madvise(new, bytes, MADV_HUGEPAGE);
		memset(new, 1, bytes);
		chunk[chunks++] = new;
	}
}

static uint64_t *log_of[2], *left[2];

static uint64_t words_of(int slot)
{
	return (m.slot[slot].size / PAGE + 63) / 64;
}

static uint64_t take_log(void)
{
	uint64_t count = 0;

	for (int s = 0; s < m.slots; s++) {
		struct kvm_dirty_log get = { .slot = s, .dirty_bitmap = log_of[s] };
		uint64_t words = words_of(s), first = words, last = 0;

		if (ioctl(m.fd, KVM_GET_DIRTY_LOG, &get) < 0)
			die("KVM_GET_DIRTY_LOG");
		for (uint64_t w = 0; w < words; w++) {
			if (!log_of[s][w])
				continue;
			left[s][w] |= log_of[s][w];
			count += __builtin_popcountll(log_of[s][w]);
			first = first == words ? w : first;
			last = w;
		}
		if (first < words) {
			struct kvm_clear_dirty_log clear = {
				.slot = s, .first_page = first * 64, .num_pages = (last - first + 1) * 64, .dirty_bitmap = log_of[s] + first,
			};

			if (ioctl(m.fd, KVM_CLEAR_DIRTY_LOG, &clear) < 0)
				die("KVM_CLEAR_DIRTY_LOG");
		}
	}
	return count;
}

static void copy_left(void)
{
	for (int s = 0; s < m.slots; s++) {
		for (uint64_t w = 0; w < words_of(s); w++) {
			for (uint64_t bits = left[s][w]; bits; bits &= bits - 1) {
				uint64_t page = w * 64 + __builtin_ctzll(bits);

				memcpy(chunk[used / CHUNK_PAGES] + used % CHUNK_PAGES * PAGE, m.slot[s].host + page * PAGE, PAGE);
				used++;
			}
			left[s][w] = 0;
		}
	}
}

static void begin_log(void)
{
	struct kvm_enable_cap manual = {
		.cap = KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2, .args = { KVM_DIRTY_LOG_MANUAL_PROTECT_ENABLE | KVM_DIRTY_LOG_INITIALLY_SET },
	};

	if (ioctl(m.fd, KVM_ENABLE_CAP, &manual) < 0)
		die("KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2");
	for (int s = 0; s < m.slots; s++) {
		struct kvm_userspace_memory_region region = {
			.slot = s, .flags = KVM_MEM_LOG_DIRTY_PAGES, .guest_phys_addr = m.slot[s].guest, .memory_size = m.slot[s].size,
			.userspace_addr = (uintptr_t)m.slot[s].host,
		};

		if (ioctl(m.fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			die("KVM_SET_USER_MEMORY_REGION");
		log_of[s] = calloc(words_of(s), 8);
		left[s] = calloc(words_of(s), 8);
	}
	/* Initially everything counts as written: what a first checkpoint would hold is not copied, its buffer would be as large as the guest. */
	take_log();
	for (int s = 0; s < m.slots; s++)
		memset(left[s], 0, words_of(s) * 8);
}

static void end_log(void)
{
	for (int s = 0; s < m.slots; s++) {
		struct kvm_userspace_memory_region region = {
			.slot = s, .guest_phys_addr = m.slot[s].guest, .memory_size = m.slot[s].size, .userspace_addr = (uintptr_t)m.slot[s].host,
		};

		if (ioctl(m.fd, KVM_SET_USER_MEMORY_REGION, &region) < 0)
			die("KVM_SET_USER_MEMORY_REGION");
	}
}

/* Returns the pause in nanoseconds; take, where there is one, is done by this thread while all vCPUs are parked. */
static int64_t pause_all(void (*take)(void))
{
	int64_t begin = now_ns(), end = begin;

	atomic_store(&parked, 0);
	atomic_store(&captured, 0);
	atomic_store(&resumed, 0);
	atomic_store(&step, PARK);
	for (int i = 0; i < m.vcpus; i++)
		syscall(SYS_tgkill, getpid(), tid[i], KICK);
	wait_while(&step, PARK);
	machine_save_vm(&m);
	if (take)
		take();
	captured_one();
	for (int seen; (seen = atomic_load(&resumed)) < m.vcpus;)
		syscall(SYS_futex, &resumed, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	for (int i = 0; i < m.vcpus; i++)
		end = resumed_at[i] > end ? resumed_at[i] : end;
	return end - begin;
}

static uint64_t rest, last_left;

static void take_rest(void)
{
	last_left = take_log();
	/* As a rule there is room for it already. */
	make_room(rest + last_left);
	copy_left();
}

static void precopy(void)
{
	int64_t begin = now_ns(), pause, copied;
	uint64_t count, before;
	int rounds = 1;

	used = 0;
	for (count = take_log();; rounds++) {
		make_room(count + 4096);
		copy_left();
		before = count;
		count = take_log();
		if (count <= FEW_PAGES || count > before - before / 10 || rounds == MAX_ROUNDS)
			break;
	}
	rest = count;
	make_room(2 * count + 4096);
	copied = now_ns() - begin;
	pause = pause_all(take_rest);
	/* The log taken last before the pause was not copied yet: it is of the rest, too. */
	printf("%ld %d %lu %lu %ld\n", (long)pause, rounds, (unsigned long)(count + last_left), (unsigned long)used, (long)copied);
}

static void hold_all(void)
{
	*(volatile uint64_t *)machine_at(&m, CONTROL + CONTROL_HOLD) = 1;
	for (int seen; (seen = atomic_load(&held)) < m.vcpus;)
		syscall(SYS_futex, &held, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

static void release_all(void)
{
	uint8_t *hold = machine_at(&m, CONTROL + CONTROL_HOLD);

	*(volatile uint64_t *)hold = 0;
	syscall(SYS_futex, hold, FUTEX_WAKE_PRIVATE, 1 << 30, NULL, NULL, 0);
	while (atomic_load(&held))
		sched_yield();
}

static void stats(void)
{
	static uint64_t rounds_before, writes_before;
	uint64_t rounds = 0, writes = 0, gap = 0;

	for (int i = 0; i < m.vcpus; i++) {
		volatile uint64_t *own = (uint64_t *)machine_at(&m, OWN + i * PAGE);

		rounds += own[OWN_ROUNDS / 8];
		writes += own[OWN_WRITES / 8];
		gap = own[OWN_LONGEST_GAP / 8] > gap ? own[OWN_LONGEST_GAP / 8] : gap;
		own[OWN_LONGEST_GAP / 8] = 0;
	}
	printf("%lu %lu %lu\n", (unsigned long)(rounds - rounds_before), (unsigned long)(writes - writes_before), (unsigned long)gap);
	rounds_before = rounds;
	writes_before = writes;
}

enum { FILLERS = 2 };

static void *fill_part(void *argument)
{
	uint64_t part = (intptr_t)argument, x = 88172645463325252ull + part;

	for (int s = 0; s < m.slots; s++) {
		uint64_t begin = s ? 0 : AREA, pages = (m.slot[s].size - begin) / PAGE;

		for (uint64_t at = begin + pages * part / FILLERS * PAGE; at < begin + pages * (part + 1) / FILLERS * PAGE; at += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			*(uint64_t *)(m.slot[s].host + at) = x;
		}
	}
	return NULL;
}

static void fill(void)
{
	pthread_t filler[FILLERS];

	for (intptr_t i = 0; i < FILLERS; i++)
		pthread_create(&filler[i], NULL, fill_part, (void *)i);
	for (int i = 0; i < FILLERS; i++)
		pthread_join(filler[i], NULL);
}

int main(int argc, char **argv)
{
	char line[80];
	unsigned long period;

	if (argc != 4) {
		fprintf(stderr, "usage: floor CODE MEMORY_MIB VCPUS\n");
		return 2;
	}
	machine_create(&m, strtoull(argv[2], NULL, 10) << 20, atoi(argv[3]), argv[1]);
	captors = m.vcpus + 1;
	*(volatile uint64_t *)machine_at(&m, CONTROL + CONTROL_HOLD) = 1;
	for (int i = 0; i < m.vcpus; i++) {
		pthread_t thread;

		pthread_create(&thread, NULL, run, (void *)(intptr_t)i);
	}
	hold_all();
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "period %lu", &period) == 1) {
			*(volatile uint64_t *)machine_at(&m, CONTROL + CONTROL_PERIOD) = period;
			puts("ok");
		} else if (!strcmp(line, "fill\n")) {
			fill();
			puts("ok");
		} else if (!strcmp(line, "begin\n")) {
			begin_log();
			puts("ok");
		} else if (!strcmp(line, "end\n")) {
			end_log();
			puts("ok");
		} else if (!strcmp(line, "go\n")) {
			release_all();
			puts("ok");
		} else if (!strcmp(line, "hold\n")) {
			hold_all();
			puts("ok");
		} else if (!strcmp(line, "floor\n")) {
			printf("%ld\n", (long)pause_all(NULL));
		} else if (!strcmp(line, "precopy\n")) {
			precopy();
		} else if (!strcmp(line, "stats\n")) {
			stats();
		} else if (!strcmp(line, "quit\n")) {
			return 0;
		} else {
			puts("unknown command");
		}
	}
	return 0;
}
