// SPDX-License-Identifier: GPL-2.0
/*
 * PID 1 of the machine that kernel/boot starts: mounts what programs need, runs what the kernel's command line names, and
 * switches the machine off.
 *
 * The command line: `run=PROGRAM[,ARGUMENT…]`, once for each program, in order; `agent=NAME`, the agent on the
 * virtio-serial port of that name; `limit=SECONDS` before them, for each program. Each program's end is a line of its own on the
 * console: `@exit N PROGRAM[,ARGUMENT…]`, where N is the exit status, or 128 and the signal's number.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_ARGUMENTS	16

static unsigned int limit_seconds;

static void mount_or_say(const char *type, const char *path)
{
	mkdir(path, 0755);
	if (mount(type, path, type, 0, NULL) && errno != EBUSY)
		printf("init: %s: %s\n", path, strerror(errno));
}

static void open_console(void)
{
	int fd = open("/dev/console", O_RDWR);

	if (fd < 0)
		return;
	dup2(fd, 0);
	dup2(fd, 1);
	dup2(fd, 2);
	if (fd > 2)
		close(fd);
	setvbuf(stdout, NULL, _IOLBF, 0);
}

/* Runs `/PROGRAM` with the arguments that follow it, separated by commas. */
static int run(const char *what)
{
	char *line = strdup(what), *argument[MAX_ARGUMENTS + 1] = { 0 };
	char path[256];
	int status, n = 0;
	pid_t pid;

	for (char *word = strtok(line, ","); word && n < MAX_ARGUMENTS; word = strtok(NULL, ","))
		argument[n++] = word;
	if (!n)
		return 127;
	snprintf(path, sizeof(path), "/%s", argument[0]);

	pid = fork();
	if (!pid) {
		/* The limit of a program that hangs; alarms survive exec. */
		alarm(limit_seconds);
		execv(path, argument);
		printf("init: %s: %s\n", path, strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	free(line);
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* The device file of the virtio-serial port with this name */
static int find_port(const char *name, char *path, size_t size)
{
	DIR *ports = opendir("/sys/class/virtio-ports");
	struct dirent *entry;
	int found = 0;

	while (ports && !found && (entry = readdir(ports))) {
		char file[512], content[128] = "";
		FILE *f;

		snprintf(file, sizeof(file), "/sys/class/virtio-ports/%s/name", entry->d_name);
		f = fopen(file, "r");
		if (!f)
			continue;
		if (fgets(content, sizeof(content), f))
			content[strcspn(content, "\n")] = 0;
		fclose(f);
		if (!strcmp(content, name)) {
			snprintf(path, size, "/dev/%s", entry->d_name);
			found = 1;
		}
	}
	if (ports)
		closedir(ports);
	return found;
}

/*
 * A port reads as ended until the kernel has been told that somebody is at its other end, and opening it to find out would
 * throw away what was sent already. The device tells about its ports in order: what there is to know of the agent's is known
 * when the port behind it, NAME.behind, has its name.
 */
static void run_agent(const char *name)
{
	char path[512] = "", behind[128], what[600];

	snprintf(behind, sizeof(behind), "%s.behind", name);
	for (int i = 0; i < 1000 && !find_port(behind, path, sizeof(path)); i++)
		usleep(5000);
	if (!find_port(name, path, sizeof(path))) {
		printf("init: there is no virtio-serial port %s\n", name);
		return;
	}
	printf("@agent %s\n", path);
	snprintf(what, sizeof(what), "agent,%s", path);
	printf("@exit %d agent\n", run(what));
}

static void off(void)
{
	fflush(stdout);
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

int main(void)
{
	static char line[4096];
	ssize_t length;
	int fd;

	mount_or_say("devtmpfs", "/dev");
	open_console();
	mount_or_say("proc", "/proc");
	mount_or_say("sysfs", "/sys");
	mount_or_say("tmpfs", "/tmp");

	fd = open("/proc/cmdline", O_RDONLY);
	length = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	if (length <= 0) {
		printf("init: no command line\n");
		off();
	}

	for (char *rest = line, *word; (word = strsep(&rest, " \n"));) {
		if (!strncmp(word, "limit=", 6))
			limit_seconds = atoi(word + 6);
		else if (!strncmp(word, "run=", 4))
			printf("@exit %d %s\n", run(word + 4), word + 4);
		else if (!strncmp(word, "agent=", 6))
			run_agent(word + 6);
	}
	off();
}
