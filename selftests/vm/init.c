// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The first program of a guest. It starts from the initramfs that `run` makes, loads the modules
 * found there, puts the guest's root together from read-only images, loads kdbus.ko, runs one job,
 * tells the host how it ended, and powers off.
 *
 * In the initramfs:
 *   /modules/NN-NAME.ko  loaded in the order of their names
 *   /kdbus.ko            optional, loaded last, with the parameters in /kdbus.parameters
 *   /job                 lines NAME=VALUE, see struct job
 *   /argv /env           the job's arguments and environment, each string ended by a zero byte
 *
 * Block devices: the first is the root image; then one per "layer=" line (overlaid on the root) and
 * one per "tree=PATH" line (mounted at PATH), in the order of the lines.
 *
 * Virtio ports: "kdbus.output" takes the job's standard output and error, "kdbus.result" is its
 * file descriptor 3, "kdbus.status" takes one line: "exit N", "signal N", "timeout", or
 * "error TEXT" when the job could not be started. With "console=" in /job the job runs on
 * /dev/hvc0 instead of the output port.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job {
	char *trees[8];			/* tree=PATH */
	unsigned int n_trees;
	unsigned int n_layers;		/* layer= */
	unsigned int timeout;		/* timeout=SECONDS, 0: none */
	bool console;			/* console=ROWSxCOLUMNS */
	struct winsize size;
	char *directory;		/* directory=PATH: where the job starts */
};

static int status_port = -1;

static void log_line(const char *format, ...)
{
	char line[512];
	va_list args;
	int fd, n;

	va_start(args, format);
	n = vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	if (n >= (int)sizeof(line))
		n = sizeof(line) - 1;
	fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	if (fd >= 0) {
		if (write(fd, line, n) < 0)
			perror("kmsg");
		close(fd);
	}
}

static void power_off(void)
{
	kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	sync();
	reboot(RB_POWER_OFF);
	for (;;)
		pause();
}

/* Tell the host how the job ended. */
static void report(const char *format, ...)
{
	char line[512];
	va_list args;

	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	log_line("kdbus-vm: %s\n", line);
	if (status_port >= 0)
		dprintf(status_port, "%s\n", line);
}

static void fail(const char *what)
{
	report("error %s: %s", what, strerror(errno));
	power_off();
}

static void make_directory(const char *path)
{
	char *copy = strdup(path);

	for (char *slash = copy; slash && (slash = strchr(slash + 1, '/'));) {
		*slash = '\0';
		mkdir(copy, 0755);
		*slash = '/';
	}
	free(copy);
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail(path);
}

static void mount_at(const char *source, const char *target, const char *type, unsigned long flags,
		     const char *options)
{
	make_directory(target);
	if (mount(source, target, type, flags, options) < 0)
		fail(target);
}

/* The whole file, with a zero byte behind it; NULL if there is none. */
static char *read_file(const char *path, size_t *size)
{
	size_t used = 0, room = 4096;
	char *text = malloc(room);
	ssize_t n;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || !text) {
		free(text);
		return NULL;
	}
	while ((n = read(fd, text + used, room - used - 1)) > 0) {
		used += n;
		if (room - used < 2) {
			room *= 2;
			text = realloc(text, room);
			if (!text)
				fail("memory");
		}
	}
	close(fd);
	text[used] = '\0';
	if (size)
		*size = used;
	return text;
}

static void load_module(const char *path, const char *parameters)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || syscall(SYS_finit_module, fd, parameters, 0) < 0)
		fail(path);
	close(fd);
}

static void load_modules(void)
{
	struct dirent **entries;
	char path[300];
	int n = scandir("/modules", &entries, NULL, alphasort);

	for (int i = 0; i < n; i++) {
		if (entries[i]->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), "/modules/%s", entries[i]->d_name);
		load_module(path, "");
	}
}

static void nap(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20 * 1000 * 1000 }, NULL);
}

/* Devices appear a moment after their drivers: wait for them, at most a minute. */
static int open_device(const char *path, int flags)
{
	int fd;

	for (int tries = 0; tries < 3000; tries++) {
		fd = open(path, flags | O_CLOEXEC);
		if (fd >= 0)
			return fd;
		nap();
	}
	fail(path);
	return -1;
}

/* The virtio port that the host gave this name. */
static int open_port(const char *name)
{
	struct dirent *entry;
	char path[400], *found;
	DIR *directory;

	for (int tries = 0; tries < 3000; tries++) {
		directory = opendir("/sys/class/virtio-ports");
		while (directory && (entry = readdir(directory))) {
			snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name",
				 entry->d_name);
			found = read_file(path, NULL);
			if (!found)
				continue;
			found[strcspn(found, "\n")] = '\0';
			if (strcmp(found, name) == 0) {
				free(found);
				snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
				closedir(directory);
				return open_device(path, O_WRONLY);
			}
			free(found);
		}
		if (directory)
			closedir(directory);
		nap();
	}
	errno = ENODEV;
	fail(name);
	return -1;
}

static void read_job(struct job *job)
{
	char *text = read_file("/job", NULL), *line, *value;

	if (!text)
		fail("/job");
	while ((line = strsep(&text, "\n"))) {
		value = strchr(line, '=');
		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "layer") == 0) {
			job->n_layers++;
		} else if (strcmp(line, "tree") == 0) {
			if (job->n_trees == sizeof(job->trees) / sizeof(*job->trees)) {
				errno = E2BIG;
				fail("tree");
			}
			job->trees[job->n_trees++] = value;
		} else if (strcmp(line, "timeout") == 0) {
			job->timeout = atoi(value);
		} else if (strcmp(line, "directory") == 0) {
			job->directory = value;
		} else if (strcmp(line, "console") == 0) {
			job->console = true;
			if (sscanf(value, "%hux%hu", &job->size.ws_row, &job->size.ws_col) != 2)
				memset(&job->size, 0, sizeof(job->size));
		} else {
			errno = EINVAL;
			fail(line);
		}
	}
}

static const char *block_device(unsigned int n)
{
	static char path[16];

	snprintf(path, sizeof(path), "/dev/vd%c", 'a' + n);
	close(open_device(path, O_RDONLY));
	return path;
}

/* Put the root together at /root and make it ours. */
static void enter_root(const struct job *job)
{
	char options[512] = "upperdir=/upper/files,workdir=/upper/work,lowerdir=", path[4200];
	unsigned int disk = 0;

	mount_at(block_device(disk++), "/lower/root", "squashfs", MS_RDONLY, NULL);
	for (unsigned int i = 0; i < job->n_layers; i++) {
		snprintf(path, sizeof(path), "/lower/layer%u", i);
		mount_at(block_device(disk++), path, "squashfs", MS_RDONLY, NULL);
		strcat(options, path);
		strcat(options, ":");
	}
	strcat(options, "/lower/root");
	mount_at("upper", "/upper", "tmpfs", 0, "mode=0755");
	make_directory("/upper/files");
	make_directory("/upper/work");
	mount_at("overlay", "/root", "overlay", 0, options);

	mount_at("/dev", "/root/dev", NULL, MS_MOVE, NULL);
	mount_at("/proc", "/root/proc", NULL, MS_MOVE, NULL);
	mount_at("/sys", "/root/sys", NULL, MS_MOVE, NULL);
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 ||
	    chdir("/") < 0)
		fail("the new root");

	mount_at("tmpfs", "/run", "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755");
	mount_at("tmpfs", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	mount_at("tmpfs", "/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777");
	/* a checkout may be anywhere, in /tmp too */
	for (unsigned int i = 0; i < job->n_trees; i++)
		mount_at(block_device(disk++), job->trees[i], "squashfs", MS_RDONLY, NULL);
	mount_at("devpts", "/dev/pts", "devpts", 0, "ptmxmode=0666,mode=0620,gid=5");
	mount_at("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	mount_at("cgroup2", "/sys/fs/cgroup", "cgroup2", 0, NULL);
	if (symlink("/proc/self/fd", "/dev/fd") < 0 || symlink("/proc/self/fd/0", "/dev/stdin") < 0 ||
	    symlink("/proc/self/fd/1", "/dev/stdout") < 0 ||
	    symlink("/proc/self/fd/2", "/dev/stderr") < 0)
		fail("/dev/fd");
}

static void set_up_network(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) < 0)
		fail("lo");
	close(fd);
	if (sethostname("kdbus-guest", strlen("kdbus-guest")) < 0)
		fail("hostname");
}

/* A list of strings, each ended by a zero byte, as an array ended by NULL. */
static char **split(char *text, size_t size)
{
	size_t n = 0;
	char **list;

	for (size_t i = 0; i < size; i++)
		n += text[i] == '\0';
	list = calloc(n + 1, sizeof(*list));
	if (!list)
		fail("memory");
	for (size_t i = 0; i < n; i++) {
		list[i] = text;
		text += strlen(text) + 1;
	}
	return list;
}

/* The child's side: the job in a session of its own. */
static void exec_job(const struct job *job, int output, int result, char **argv, char **env)
{
	sigset_t none;
	int input;

	setsid();
	if (job->console) {
		input = open_device("/dev/hvc0", O_RDWR);
		ioctl(input, TIOCSCTTY, 0);
		ioctl(input, TIOCSWINSZ, &job->size);
		output = input;
	} else {
		input = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	if (dup2(input, 0) < 0 || dup2(output, 1) < 0 || dup2(output, 2) < 0)
		fail("standard streams");
	/* Duplicated out of the way first: dup2() to itself would keep the close-on-exec flag. */
	result = fcntl(result, F_DUPFD_CLOEXEC, 10);
	if (result < 0 || dup2(result, 3) < 0)
		fail("result port");
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	if (job->directory && chdir(job->directory) < 0)
		fail(job->directory);
	environ = env;
	execvp(argv[0], argv);
	dprintf(2, "%s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

static void copy_all(int from, int to)
{
	char buffer[65536];
	ssize_t n, written;

	while ((n = read(from, buffer, sizeof(buffer))) > 0) {
		for (ssize_t done = 0; done < n; done += written) {
			written = write(to, buffer + done, n - done);
			if (written < 0)
				return;
		}
	}
}

/* What hangs, and where: into the kernel log. */
static void show_tasks(void)
{
	int fd = open("/proc/sysrq-trigger", O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	log_line("kdbus-vm: the job's time is over; tasks follow\n");
	if (write(fd, "w", 1) < 0 || write(fd, "l", 1) < 0)
		log_line("kdbus-vm: no sysrq\n");
	close(fd);
}

static void run_job(const struct job *job, char **argv, char **env)
{
	int result = open_port("kdbus.result"), output = -1, pipes[2], signals, status, left = -1;
	struct pollfd polls[2];
	struct timespec now, end;
	sigset_t child;
	pid_t pid, ended;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	signals = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals < 0 || pipe2(pipes, O_CLOEXEC) < 0 || fcntl(pipes[0], F_SETFL, O_NONBLOCK) < 0)
		fail("pipe");
	if (!job->console)
		output = open_port("kdbus.output");

	pid = fork();
	if (pid < 0)
		fail("fork");
	if (pid == 0)
		exec_job(job, pipes[1], result, argv, env);
	close(pipes[1]);
	close(result);

	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += job->timeout;
	polls[0] = (struct pollfd){ .fd = job->console ? -1 : pipes[0], .events = POLLIN };
	polls[1] = (struct pollfd){ .fd = signals, .events = POLLIN };
	for (;;) {
		if (job->timeout) {
			clock_gettime(CLOCK_MONOTONIC, &now);
			left = (end.tv_sec - now.tv_sec) * 1000;
			if (left <= 0) {
				show_tasks();
				copy_all(pipes[0], output);
				report("timeout");
				return;
			}
		}
		poll(polls, 2, left);
		copy_all(pipes[0], output);
		if (polls[0].revents & POLLHUP)
			polls[0].fd = -1;
		copy_all(signals, -1);
		while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
			if (ended != pid)
				continue;
			/* What the job's own children still write is not waited for. */
			copy_all(pipes[0], output);
			if (WIFEXITED(status))
				report("exit %d", WEXITSTATUS(status));
			else
				report("signal %d", WTERMSIG(status));
			return;
		}
	}
}

int main(void)
{
	size_t argv_size = 0, env_size = 0;
	struct job job = {};
	char *argv, *env, *parameters;

	mount_at("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount_at("proc", "/proc", "proc", 0, NULL);
	mount_at("sysfs", "/sys", "sysfs", 0, NULL);
	load_modules();
	status_port = open_port("kdbus.status");

	read_job(&job);
	argv = read_file("/argv", &argv_size);
	env = read_file("/env", &env_size);
	if (!argv || !argv_size || !env)
		fail("/argv or /env");

	/* What the kernel says from here on is judged: see kernel_log.py. */
	log_line("kdbus-vm: the guest is up\n");
	if (access("/kdbus.ko", F_OK) == 0) {
		parameters = read_file("/kdbus.parameters", NULL);
		load_module("/kdbus.ko", parameters ? parameters : "");
	}
	enter_root(&job);
	set_up_network();
	run_job(&job, split(argv, argv_size), split(env, env_size));
	power_off();
}
