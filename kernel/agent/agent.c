// SPDX-License-Identifier: GPL-2.0
/*
 * Lets a program on another machine use this machine's KVM: it keeps memory, makes ioctls and runs vCPUs for whoever is at
 * the other end of its port.
 *
 *	agent PORT		a character device (virtio-serial), or a Unix socket that somebody listens on
 *
 * It ends with status 0 when the port is closed between two requests, and with 1 and a line on stderr when the port can't be
 * used, or when what came from it is not a frame: shorter than its header, longer than MAX_FRAME, or cut off.
 *
 * The protocol is little endian and knows nothing of the architecture. A request is one frame, and so is its reply:
 *
 *	request	u32 bytes that follow, u32 tag, u32 lane, operations
 *	reply	u32 bytes that follow, u32 tag, s32 status, results
 *
 * A lane is a thread. Lane 0 is the one that reads the port: it takes KICK alone, so that a kick never waits for anything.
 * The others, 1 to LANES - 1, do one request at a time. Requests of one lane are done in order, those of different lanes at
 * the same time, and replies come as they are done; the tag says which is which. Status is 0, or an error number, negative,
 * with which the whole request was refused before any of it was done: EBADMSG for one that is not made as below, EBUSY for a
 * lane that is still at work.
 *
 * Operations are done in order up to the first that fails, and each that was done leaves an s64: its result, or its error
 * number, negative. Numbers follow their operation's byte without padding:
 *
 *	1 ALLOC  u64 bytes			zeroed memory: its address
 *	2 FREE   u64 address			memory of ALLOC or MAP, all of it
 *	3 PUT    u64 address, u32 n, n bytes	writes into such memory
 *	4 GET    u64 address, u32 n		reads from it: n, then n bytes
 *	5 OPEN   u16 n, n bytes of path		for reading and writing: an fd
 *	6 CLOSE  u32 fd
 *	7 IOCTL  u32 fd, u32 request, u64 argument	what ioctl returned; a KVM_RUN that was interrupted takes kicks away
 *	8 MAP    u32 fd, u64 bytes		what the fd shares with its owner: its address
 *	9 KICK   u32 lane			ends the lane's KVM_RUN, or the next one
 *	10 BIND  u32 fd				the vCPU that kicks of this lane are for; kicks that were pending are forgotten
 *	11 UNBIND u32 fd
 *	12 COUNTER				CNTFRQ_EL0 in Hz, ENODEV but on arm64
 *
 * Addresses are this process's. PUT and GET go to memory of ALLOC and MAP only and answer EFAULT elsewhere, but for 0 bytes,
 * which touch no memory at any address; pointers inside an ioctl's argument are between the owner and the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <termios.h>
#include <unistd.h>

#define LANES		65
#define REGIONS		1024
#define MAX_FRAME	(8u << 20)
#define KICK_SIGNAL	SIGUSR1
#define KVM_RUN		0xae80
#define KVM_SET_SIGNAL_MASK	0x4004ae8b

enum { ALLOC = 1, FREE, PUT, GET, OPEN, CLOSE, IOCTL, MAP, KICK, BIND, UNBIND, COUNTER };

struct op {
	uint8_t code;
	uint32_t fd, n;
	uint64_t a, b;
	const uint8_t *bytes;
};

struct lane {
	pthread_mutex_t gate;
	pthread_cond_t work;
	uint8_t *frame;
	uint32_t size;
	int busy, tid;
};

struct region {
	uint64_t start, size;
};

static int port;
static struct lane lanes[LANES];
static pthread_mutex_t writing = PTHREAD_MUTEX_INITIALIZER;

/* Copies hold it for reading, so that memory is not unmapped under them. */
static pthread_rwlock_t mapping = PTHREAD_RWLOCK_INITIALIZER;
static struct region regions[REGIONS];

/* Memory that an fd shares may be shorter than what was mapped of it: SIGBUS, which only a copy here can cause. */
static __thread sigjmp_buf on_fault;
static __thread volatile sig_atomic_t copying;

static void faulted(int signal)
{
	if (copying)
		siglongjmp(on_fault, 1);
	_exit(128 + signal);
}

static uint16_t u16(const uint8_t *p) { return p[0] | p[1] << 8; }
static uint32_t u32(const uint8_t *p) { return u16(p) | (uint32_t)u16(p + 2) << 16; }
static uint64_t u64(const uint8_t *p) { return u32(p) | (uint64_t)u32(p + 4) << 32; }

static void put32(uint8_t *p, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		p[i] = value >> (8 * i);
}

static void put64(uint8_t *p, uint64_t value)
{
	put32(p, value);
	put32(p + 4, value >> 32);
}

/* Takes one operation off the front of a request. Returns 0 where the request does not hold a whole one. */
static int parse(const uint8_t **at, const uint8_t *end, struct op *op)
{
	static const uint8_t fixed[] = { 0, 8, 8, 12, 12, 2, 4, 16, 12, 4, 4, 4, 0 };
	const uint8_t *p = *at;

	memset(op, 0, sizeof(*op));
	op->code = *p++;
	if (op->code < ALLOC || op->code > COUNTER || end - p < fixed[op->code])
		return 0;
	switch (op->code) {
	case ALLOC: case FREE:
		op->a = u64(p);
		break;
	case PUT: case GET:
		op->a = u64(p);
		op->n = u32(p + 8);
		break;
	case OPEN:
		op->n = u16(p);
		break;
	case IOCTL:
		op->fd = u32(p);
		op->n = u32(p + 4);
		op->a = u64(p + 8);
		break;
	case MAP:
		op->fd = u32(p);
		op->b = u64(p + 4);
		break;
	case COUNTER:
		break;
	default:
		op->fd = u32(p);
	}
	p += fixed[op->code];
	if (op->code == PUT || op->code == OPEN) {
		if ((uint64_t)(end - p) < op->n)
			return 0;
		op->bytes = p;
		p += op->n;
	}
	*at = p;
	return 1;
}

/* Whether a request can be done by a lane, and how many bytes its results have at most. */
static int check(const uint8_t *at, const uint8_t *end, int is_reader, uint64_t *results)
{
	struct op op;

	*results = 0;
	while (at < end) {
		if (!parse(&at, end, &op) || (op.code == KICK) != is_reader)
			return 0;
		*results += 8 + (op.code == GET ? (uint64_t)op.n : 0);
		if (*results > MAX_FRAME)
			return 0;
	}
	return 1;
}

static int write_all(const uint8_t *p, size_t n)
{
	while (n) {
		ssize_t written = write(port, p, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return 0;
		p += written;
		n -= written;
	}
	return 1;
}

/* The buffer has 12 bytes of room for the header before the results. */
static void reply(uint8_t *buffer, uint32_t tag, int status, size_t results)
{
	put32(buffer, 8 + results);
	put32(buffer + 4, tag);
	put32(buffer + 8, status);
	pthread_mutex_lock(&writing);
	if (!write_all(buffer, 12 + results))
		_exit(0);
	pthread_mutex_unlock(&writing);
}

static void refuse(uint32_t tag, int error)
{
	uint8_t buffer[12];

	reply(buffer, tag, -error, 0);
}

static int64_t copy(void *to, const void *from, uint32_t n, uint64_t ours)
{
	volatile int64_t result = -EFAULT;

	if (!n)
		return 0;
	pthread_rwlock_rdlock(&mapping);
	for (int i = 0; i < REGIONS; i++) {
		if (ours < regions[i].start || ours - regions[i].start > regions[i].size ||
		    n > regions[i].size - (ours - regions[i].start))
			continue;
		if (!sigsetjmp(on_fault, 0)) {
			copying = 1;
			memcpy(to, from, n);
			result = n;
		} else {
			result = -EFAULT;
		}
		copying = 0;
		break;
	}
	pthread_rwlock_unlock(&mapping);
	return result;
}

static int64_t map(int fd, uint64_t size)
{
	int64_t result = -ENOMEM;

	if (!size || size > INT64_MAX)
		return -EINVAL;
	pthread_rwlock_wrlock(&mapping);
	for (int i = 0; i < REGIONS; i++) {
		void *start;

		if (regions[i].size)
			continue;
		start = mmap(NULL, size, PROT_READ | PROT_WRITE,
			     fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE : MAP_SHARED, fd, 0);
		result = start == MAP_FAILED ? -errno : (int64_t)(uintptr_t)start;
		if (result > 0)
			regions[i] = (struct region){ result, size };
		break;
	}
	pthread_rwlock_unlock(&mapping);
	return result;
}

static int64_t unmap(uint64_t start)
{
	int64_t result = -EINVAL;

	pthread_rwlock_wrlock(&mapping);
	for (int i = 0; i < REGIONS; i++) {
		if (!regions[i].size || regions[i].start != start)
			continue;
		result = munmap((void *)(uintptr_t)start, regions[i].size) ? -errno : 0;
		regions[i] = (struct region){ 0 };
		break;
	}
	pthread_rwlock_unlock(&mapping);
	return result;
}

static int64_t open_path(const uint8_t *bytes, uint32_t n)
{
	char path[256];
	int fd;

	if (n >= sizeof(path) || memchr(bytes, 0, n))
		return -EINVAL;
	memcpy(path, bytes, n);
	path[n] = 0;
	fd = open(path, O_RDWR | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static void take_kicks(void)
{
	static const struct timespec now = { 0 };
	sigset_t kick;

	sigemptyset(&kick);
	sigaddset(&kick, KICK_SIGNAL);
	while (sigtimedwait(&kick, NULL, &now) > 0)
		;
}

/* KVM_RUN alone opens the kick's signal, which the lane has blocked: so it is never delivered, and never lost. */
static int64_t bind_kicks(int fd, int on)
{
	uint8_t mask[12];

	take_kicks();
	put32(mask, 8);
	put64(mask + 4, ~(1ull << (KICK_SIGNAL - 1)));
	return ioctl(fd, KVM_SET_SIGNAL_MASK, on ? mask : NULL) < 0 ? -errno : 0;
}

static int64_t kick(uint32_t number)
{
	int tid;

	if (!number || number >= LANES)
		return -EINVAL;
	tid = __atomic_load_n(&lanes[number].tid, __ATOMIC_ACQUIRE);
	if (!tid)
		return -ESRCH;
	return syscall(SYS_tgkill, getpid(), tid, KICK_SIGNAL) ? -errno : 0;
}

static int64_t counter(void)
{
#ifdef __aarch64__
	uint64_t hz;

	asm volatile("mrs %0, cntfrq_el0" : "=r"(hz));
	return hz;
#else
	return -ENODEV;
#endif
}

static int64_t make_ioctl(const struct op *op)
{
	for (;;) {
		int result = ioctl(op->fd, op->n, op->a);

		if (result >= 0)
			return result;
		result = -errno;
		/* EAGAIN: a vCPU that waited to be started was woken; the kick that did it is taken as after EINTR. */
		if (op->n == KVM_RUN && (result == -EINTR || result == -EAGAIN))
			take_kicks();
		else if (result == -EINTR)
			continue;
		return result;
	}
}

static int64_t perform(const struct op *op, uint8_t *room)
{
	switch (op->code) {
	case ALLOC:	return map(-1, op->a);
	case FREE:	return unmap(op->a);
	case PUT:	return copy((void *)(uintptr_t)op->a, op->bytes, op->n, op->a);
	case GET:	return copy(room, (void *)(uintptr_t)op->a, op->n, op->a);
	case OPEN:	return open_path(op->bytes, op->n);
	/* Its own port and the console stay open. */
	case CLOSE:	return op->fd <= 2 || (int)op->fd == port ? -EBADF : close(op->fd) ? -errno : 0;
	case IOCTL:	return make_ioctl(op);
	case MAP:	return op->fd > INT32_MAX ? -EBADF : map(op->fd, op->b);
	case KICK:	return kick(op->fd);
	case BIND:	return bind_kicks(op->fd, 1);
	case UNBIND:	return bind_kicks(op->fd, 0);
	default:	return counter();
	}
}

/* A request that was checked: header of eight bytes, then operations. */
static void answer(const uint8_t *frame, uint32_t size, uint64_t results)
{
	uint8_t *buffer = malloc(12 + results), *room = buffer + 12;
	const uint8_t *at = frame + 8, *end = frame + size;
	struct op op;

	if (!buffer) {
		refuse(u32(frame), ENOMEM);
		return;
	}
	while (at < end && parse(&at, end, &op)) {
		int64_t result = perform(&op, room + 8);

		put64(room, result);
		room += 8;
		if (result < 0)
			break;
		if (op.code == GET)
			room += op.n;
	}
	reply(buffer, u32(frame), 0, room - buffer - 12);
	free(buffer);
}

static void *work(void *argument)
{
	struct lane *lane = argument;
	sigset_t blocked;

	sigfillset(&blocked);
	sigdelset(&blocked, SIGBUS);
	sigdelset(&blocked, SIGSEGV);
	pthread_sigmask(SIG_SETMASK, &blocked, NULL);
	__atomic_store_n(&lane->tid, syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;) {
		uint64_t results;
		uint8_t *frame;
		uint32_t size;

		pthread_mutex_lock(&lane->gate);
		while (!lane->frame)
			pthread_cond_wait(&lane->work, &lane->gate);
		frame = lane->frame;
		size = lane->size;
		lane->frame = NULL;
		pthread_mutex_unlock(&lane->gate);

		check(frame + 8, frame + size, 0, &results);
		/* Before the reply, so that whoever has it finds the lane free: its next request waits in the mailbox. */
		__atomic_store_n(&lane->busy, 0, __ATOMIC_RELEASE);
		answer(frame, size, results);
		free(frame);
	}
	return NULL;
}

static int start(struct lane *lane)
{
	pthread_t thread;

	pthread_mutex_init(&lane->gate, NULL);
	pthread_cond_init(&lane->work, NULL);
	if (pthread_create(&thread, NULL, work, lane))
		return 0;
	pthread_detach(thread);
	while (!__atomic_load_n(&lane->tid, __ATOMIC_ACQUIRE))
		usleep(100);
	return 1;
}

/* Gives a request to its lane, which then owns it. */
static void dispatch(uint8_t *frame, uint32_t size)
{
	uint32_t tag = u32(frame), number = u32(frame + 4);
	struct lane *lane = &lanes[number < LANES ? number : 0];
	uint64_t results;
	int error = 0;

	if (number >= LANES || !check(frame + 8, frame + size, !number, &results)) {
		error = EBADMSG;
	} else if (!number) {
		answer(frame, size, results);
	} else if (!lane->tid && !start(lane)) {
		error = EAGAIN;
	} else if (__atomic_exchange_n(&lane->busy, 1, __ATOMIC_ACQ_REL)) {
		error = EBUSY;
	} else {
		pthread_mutex_lock(&lane->gate);
		lane->frame = frame;
		lane->size = size;
		pthread_cond_signal(&lane->work);
		pthread_mutex_unlock(&lane->gate);
		return;
	}
	if (error)
		refuse(tag, error);
	free(frame);
}

/* Returns how many bytes there were: fewer than n only where the port was closed. */
static size_t read_all(uint8_t *p, size_t n)
{
	size_t done = 0;

	while (done < n) {
		ssize_t got = read(port, p + done, n - done);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			break;
		done += got;
	}
	return done;
}

static int open_port(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct termios line;
	struct stat found;
	int fd;

	if (stat(path, &found))
		return -1;
	if (S_ISSOCK(found.st_mode)) {
		if (strlen(path) >= sizeof(address.sun_path))
			return errno = ENAMETOOLONG, -1;
		strcpy(address.sun_path, path);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		return fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) ? -1 : fd;
	}
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && !tcgetattr(fd, &line)) {
		cfmakeraw(&line);
		tcsetattr(fd, TCSANOW, &line);
	}
	return fd;
}

static void give_up(const char *why, uint32_t a, uint32_t b)
{
	fprintf(stderr, "agent: ");
	fprintf(stderr, why, a, b);
	fputc('\n', stderr);
	_exit(1);
}

int main(int argc, char **argv)
{
	struct sigaction fault = { .sa_handler = faulted, .sa_flags = SA_NODEFER };
	uint8_t length[4];
	size_t got;

	if (argc != 2) {
		fprintf(stderr, "usage: agent PORT\n");
		return 1;
	}
	port = open_port(argv[1]);
	if (port < 0) {
		fprintf(stderr, "agent: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	sigaction(SIGBUS, &fault, NULL);
	sigaction(SIGSEGV, &fault, NULL);
	signal(SIGPIPE, SIG_IGN);

	while ((got = read_all(length, 4)) == 4) {
		uint32_t size = u32(length);
		uint8_t *frame;

		/* What is not a frame leaves no place from which to go on. */
		if (size < 8 || size > MAX_FRAME)
			give_up("a frame of %u bytes: 8 to %u", size, MAX_FRAME);
		frame = malloc(size);
		if (!frame)
			give_up("no memory for a frame of %u bytes", size, 0);
		got = read_all(frame, size);
		if (got < size)
			give_up("the port was closed after %u of a frame's %u bytes", got, size);
		dispatch(frame, size);
	}
	if (got)
		give_up("the port was closed after %u of the %u bytes of a frame's length", got, 4);
	/* All at once, with whatever vCPUs still run. */
	_exit(0);
}
