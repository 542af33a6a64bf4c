/* The floor: the least time in which this kernel can give a container its whole life.
 *
 * One process makes cgroups, clones a child into new namespaces, the child builds the
 * default root file system and executes a program, the parent waits and removes. The
 * system calls are those of aiocontainer's helper; there is no plan, no config and no
 * message, so what is over this time is the price of the library.
 *
 *   floor life ARGUMENTS   each line "N" on stdin: N lives,  answer [ns, ns, ...]
 *   floor join ARGUMENTS   each line "N" on stdin: N joins of one running container
 *
 * ARGUMENTS: -r ROOTFS  -f FILTER (BPF bytes)  -c CAPABILITIES (hex)  -g CGROUP_FOLDER
 * (repeated; a cgroup2 folder is told by its lack of tasks)  -w CGROUP_FILE=VALUE
 * (repeated; after the -g)  -- PROGRAM ARG...
 * With -DPROFILE each answer is a list of [step, ns] pairs instead.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/filter.h>
#include <linux/keyctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "floor.h"

/* sched.h and sys/mount.h contradict the kernel's own headers. */
int unshare(int flags);
int setns(int fd, int flags);

static const char *rootfs;
static char *const *program;
static struct sock_fprog filter;
static char *environment[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};

static uint64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Shared with the child, so that one list holds the steps of both. */
static struct { const char *name; uint64_t ns; } *marks;
static volatile uint32_t *mark_count;
#ifdef PROFILE
void mark(const char *step) {
	marks[*mark_count].name = step;
	marks[(*mark_count)++].ns = now_ns();
}
#endif

long check(long result, const char *what) {
	if (result >= 0)
		return result;
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	_exit(120);
}

/* ---- streams ---------------------------------------------------------------- */

/* The program's stdin, stdout and stderr, and a pipe that a successful exec closes. */
static struct { int null, out[2], err[2], status[2]; } streams;

static void open_streams(void) {
	streams.null = check(open("/dev/null", O_RDONLY | O_CLOEXEC), "/dev/null");
	check(pipe2(streams.out, O_CLOEXEC) | pipe2(streams.err, O_CLOEXEC), "pipe");
	check(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, streams.status), "socketpair");
}

static void read_to_end(int fd) {
	char text[4096];
	while (check(read(fd, text, sizeof text), "read") > 0)
		;
	close(fd);
}

static void await_exec(void) {
	close(streams.null);
	close(streams.out[1]);
	close(streams.err[1]);
	close(streams.status[1]);
	read_to_end(streams.status[0]);
}

static void take_streams(void) {
	check(fchown(streams.out[1], 0, 0) | fchown(streams.err[1], 0, 0), "fchown");
	dup2(streams.null, 0);
	dup2(streams.out[1], 1);
	dup2(streams.err[1], 2);
}

/* ---- identity --------------------------------------------------------------- */

static uint64_t kept; /* a bit for each capability */

static void bring_loopback_up(void) {
	struct ifreq request = {.ifr_name = "lo"};
	int fd = check(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), "socket");
	check(ioctl(fd, SIOCGIFFLAGS, &request), "loopback");
	request.ifr_flags |= IFF_UP;
	check(ioctl(fd, SIOCSIFFLAGS, &request), "loopback");
	close(fd);
}

static void become(void) {
	char directory[4096];
	struct stat found;
	open("/etc/passwd", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	check(chdir("/"), "chdir");
	check(syscall(SYS_getcwd, directory, sizeof directory), "getcwd");
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	for (int cap = 0; cap <= CAP_LAST_CAP; cap++)
		if (!(kept >> cap & 1))
			check(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0), "bounding set");
	prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0);
	check(syscall(SYS_setgroups, 0, NULL), "setgroups");
	check(syscall(SYS_setresgid, 0, 0, 0), "setresgid");
	check(syscall(SYS_setresuid, 0, 0, 0), "setresuid");
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
	struct __user_cap_data_struct data[2] = {
		{kept, kept, 0}, {kept >> 32, kept >> 32, 0},
	};
	check(syscall(SYS_capset, &header, data), "capset");
	MARK("capabilities");
	check(stat(program[0], &found), program[0]);
	take_streams();
	umask(022);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	check(syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC), "close_range");
	if (filter.len)
		check(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter), "seccomp");
	MARK("seccomp");
	execve(program[0], program, environment);
	check(-1, "execve");
}

static void first_moments(void) {
	prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	check(setsid(), "setsid");
}

/* ---- life ------------------------------------------------------------------- */

#define NAMESPACES (CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET)

static void live(const char *name) {
	MARK("child runs");
	first_moments();
	join_cgroups(name);
	MARK("join cgroups");
	check(unshare(CLONE_NEWCGROUP), "unshare cgroup");
	MARK("unshare cgroup");
	check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "container"), "keyring");
	MARK("session keyring");
	bring_loopback_up();
	MARK("loopback");
	check(sethostname("container", 9), "hostname");
	MARK("hostname");
	build_rootfs(rootfs);
	become();
}

static pid_t clone_child(unsigned long long flags, int *pidfd, int cgroup) {
	struct clone_args args = {.flags = flags | CLONE_PIDFD, .pidfd = (uintptr_t)pidfd, .exit_signal = SIGCHLD};
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = cgroup;
	}
	return check(syscall(SYS_clone3, &args, sizeof args), "clone3");
}

static void reap(int pidfd) {
	siginfo_t info = {0};
	read_to_end(streams.out[0]);
	read_to_end(streams.err[0]);
	check(waitid(P_PIDFD, pidfd, &info, WEXITED), "waitid");
	if (info.si_code != CLD_EXITED || info.si_status != 0) {
		fprintf(stderr, "floor: the program ended with %d (code %d)\n", info.si_status, info.si_code);
		exit(1);
	}
}

static pid_t start(const char *name, int *pidfd) {
	open_streams();
	make_cgroups(name);
	MARK("mkdir cgroups");
	restrict_devices(name);
	set_limits(name);
	MARK("limits");
	int cgroup = v2_cgroup(name);
	pid_t pid = clone_child(NAMESPACES, pidfd, cgroup);
	if (pid == 0)
		live(name);
	close(cgroup);
	await_exec();
	return pid;
}

static void one_life(unsigned number) {
	char name[32];
	int pidfd;
	snprintf(name, sizeof name, "life-%d-%u", getpid(), number);
	start(name, &pidfd);
	reap(pidfd);
	close(pidfd);
	MARK("exec, run, exit, wait");
	read_usage(name);
	MARK("usage");
	remove_cgroups(name);
	MARK("rmdir cgroups");
}

/* ---- join ------------------------------------------------------------------- */

static int init_pidfd, own_pid_namespace;
static char init_name[32];

static void one_join(unsigned number) {
	char name[64];
	int pidfd;
	snprintf(name, sizeof name, "%s/join-%u", init_name, number);
	open_streams();
	make_cgroups(name);
	MARK("mkdir cgroups");
	int cgroup = v2_cgroup(name);
	check(setns(init_pidfd, CLONE_NEWPID), "setns pid");
	pid_t pid = clone_child(0, &pidfd, cgroup);
	if (pid == 0) {
		MARK("child runs");
		first_moments();
		join_cgroups(name);
		MARK("join cgroups");
		check(setns(init_pidfd, CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWCGROUP), "setns");
		MARK("setns");
		check(chdir("/"), "chdir");
		check(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "container"), "keyring");
		become();
	}
	check(setns(own_pid_namespace, CLONE_NEWPID), "setns back");
	close(cgroup);
	await_exec();
	reap(pidfd);
	close(pidfd);
	MARK("exec, run, exit, wait");
	read_usage(name);
	MARK("usage");
	remove_cgroups(name);
	MARK("rmdir cgroups");
}

static void start_joinable(void) {
	char *const *wanted = program;
	static char *const sleeper[] = {"/bin/sleep", "1000000", NULL};
	snprintf(init_name, sizeof init_name, "joined-%d", getpid());
	own_pid_namespace = check(open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC), "ns/pid");
	program = sleeper;
	start(init_name, &init_pidfd);
	close(streams.out[0]);
	close(streams.err[0]);
	program = wanted;
}

static void end_joinable(void) {
	siginfo_t info;
	check(syscall(SYS_pidfd_send_signal, init_pidfd, SIGKILL, NULL, 0), "kill");
	check(waitid(P_PIDFD, init_pidfd, &info, WEXITED), "waitid");
	remove_cgroups(init_name);
}

/* ---- the loop --------------------------------------------------------------- */

static void answer(void (*once)(unsigned), long times) {
	static unsigned number;
	putchar('[');
	for (long i = 0; i < times; i++) {
		*mark_count = 0;
		uint64_t began = now_ns();
		once(number++);
		uint64_t ended = now_ns();
#ifdef PROFILE
		printf("%s[", i ? ", " : "");
		for (uint32_t m = 0; m < *mark_count; m++)
			printf("[\"%s\", %ld], ", marks[m].name, (long)(marks[m].ns - (m ? marks[m - 1].ns : began)));
		printf("[\"total\", %ld]]", (long)(ended - began));
#else
		printf("%s%ld", i ? ", " : "", (long)(ended - began));
#endif
	}
	puts("]");
	fflush(stdout);
}

static void read_filter(const char *path) {
	static struct sock_filter code[BPF_MAXINSNS];
	int fd = check(open(path, O_RDONLY | O_CLOEXEC), path);
	filter.len = check(read(fd, code, sizeof code), path) / sizeof *code;
	filter.filter = code;
	close(fd);
}

int main(int argc, char **argv) {
	char line[32];
	if (argc < 2)
		return 2;
	const char *mode = *++argv;
	argc--;
	for (int option; (option = getopt(argc, argv, "+r:f:c:g:w:")) != -1;)
		if (option == 'r')
			rootfs = optarg;
		else if (option == 'f')
			read_filter(optarg);
		else if (option == 'c')
			kept = strtoull(optarg, NULL, 16);
		else if (option == 'g')
			add_folder(optarg);
		else if (option == 'w')
			add_limit(optarg);
		else
			return 2;
	program = argv + optind;
	if (!rootfs || !*program)
		return 2;
	mark_count = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mark_count == MAP_FAILED)
		return 1;
	marks = (void *)(mark_count + 4);
	int joining = strcmp(mode, "join") == 0;
	if (joining)
		start_joinable();
	while (fgets(line, sizeof line, stdin))
		answer(joining ? one_join : one_life, atol(line));
	if (joining)
		end_joinable();
	return 0;
}
