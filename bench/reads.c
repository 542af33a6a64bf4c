/* Bare reading, as little as a program can do: what our reading is held against.
 *
 *   reads readv PIPE_BYTES PROGRAM ARG...  each line on stdin: the program runs with
 *                                 its stdout on a pipe, read to its end: answer [ns]
 *   reads files [-k]              stdin: "add PATH" notes a file, "N" reads all files
 *                                 N times (open, read, close; -k: kept open, pread),
 *                                 answer [ns, ns, ...]
 *   reads oom COUNT PAUSE_US      COUNT times: a child takes memory until the kernel
 *                                 kills it; prints when each took its last page, in ns
 *   reads witness FOLDER          a v1 memory cgroup: prints when the kernel tells of
 *                                 each out-of-memory, in ns, until stdin ends
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define BUFFER_BYTES (1 << 20)
#define MAX_FILES 512
static char buffer[BUFFER_BYTES];

static int64_t now_ns(void) {
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void fail(const char *what) {
	perror(what);
	exit(1);
}

static int read_stream(int pipe_bytes, char **program) {
	char line[64];
	while (fgets(line, sizeof line, stdin)) {
		int ends[2], status;
		int64_t total = 0, began = now_ns();
		if (pipe2(ends, O_CLOEXEC) < 0)
			fail("pipe");
		if (pipe_bytes)
			fcntl(ends[1], F_SETPIPE_SZ, pipe_bytes);
		pid_t child = fork();
		if (child == 0) {
			dup2(ends[1], 1);
			execv(program[0], program);
			_exit(127);
		}
		close(ends[1]);
		struct iovec into = {buffer, sizeof buffer};
		for (ssize_t n; (n = readv(ends[0], &into, 1)) != 0;)
			if (n < 0)
				fail("readv");
			else
				total += n;
		waitpid(child, &status, 0);
		close(ends[0]);
		printf("[%lld, %lld]\n", (long long)(now_ns() - began), (long long)total);
		fflush(stdout);
	}
	return 0;
}

static int read_files(int keep) {
	static char *paths[MAX_FILES];
	static int open_files[MAX_FILES];
	char line[4096];
	int count = 0;
	while (fgets(line, sizeof line, stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (strncmp(line, "add ", 4) == 0) {
			if (count == MAX_FILES)
				fail("too many files");
			paths[count] = strdup(line + 4);
			if ((open_files[count++] = open(line + 4, O_RDONLY | O_CLOEXEC)) < 0)
				fail(line);
			continue;
		}
		putchar('[');
		for (long i = 0, times = atol(line); i < times; i++) {
			int64_t began = now_ns();
			for (int f = 0; f < count; f++) {
				int fd = keep ? open_files[f] : open(paths[f], O_RDONLY | O_CLOEXEC);
				int64_t at = 0;
				for (ssize_t n; (n = pread(fd, buffer, sizeof buffer, at)) > 0;)
					at += n;
				if (!keep)
					close(fd);
			}
			printf("%s%lld", i ? ", " : "", (long long)(now_ns() - began));
		}
		puts("]");
		fflush(stdout);
	}
	return 0;
}

static void take_memory(volatile int64_t *last) {
	const size_t step = 4096, most = 1ul << 30;
	char *memory = mmap(NULL, most, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	madvise(memory, most, MADV_NOHUGEPAGE);
	for (size_t at = 0; at < most; at += step) {
		*last = now_ns();
		memory[at] = 1;
	}
}

static int be_killed(long count, long pause_us) {
	volatile int64_t *last = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (long i = 0; i < count; i++) {
		int status;
		pid_t child = fork();
		if (child == 0) {
			take_memory(last);
			_exit(3);
		}
		if (child < 0 || waitpid(child, &status, 0) < 0 || !WIFSIGNALED(status))
			fail("a child wasn't killed");
		printf("%lld\n", (long long)*last);
		fflush(stdout);
		usleep(pause_us);
	}
	return 0;
}

static int be_witness(const char *folder) {
	char path[512], line[64];
	uint64_t count;
	int told = eventfd(0, EFD_CLOEXEC);
	snprintf(path, sizeof path, "%s/memory.oom_control", folder);
	int subject = open(path, O_RDONLY | O_CLOEXEC);
	snprintf(path, sizeof path, "%s/cgroup.event_control", folder);
	int control = open(path, O_WRONLY | O_CLOEXEC);
	int length = snprintf(line, sizeof line, "%d %d", told, subject);
	if (told < 0 || subject < 0 || write(control, line, length) < 0)
		fail(folder);
	puts("[]"); /* ready */
	fflush(stdout);
	struct pollfd watched[] = {{told, POLLIN, 0}, {0, POLLIN, 0}};
	putchar('[');
	for (int i = 0;;) {
		if (poll(watched, 2, -1) < 0)
			fail("poll");
		if (watched[0].revents) {
			int64_t now = now_ns();
			if (read(told, &count, sizeof count) < 0)
				fail("eventfd");
			printf("%s%lld", i++ ? ", " : "", (long long)now);
		} else if (watched[1].revents) {
			break;
		}
	}
	puts("]");
	return 0;
}

int main(int argc, char **argv) {
	if (argc >= 4 && strcmp(argv[1], "readv") == 0)
		return read_stream(atoi(argv[2]), argv + 3);
	if (argc >= 2 && strcmp(argv[1], "files") == 0)
		return read_files(argc > 2);
	if (argc == 4 && strcmp(argv[1], "oom") == 0)
		return be_killed(atol(argv[2]), atol(argv[3]));
	if (argc == 3 && strcmp(argv[1], "witness") == 0)
		return be_witness(argv[2]);
	return 2;
}
