/* The floor's cgroups: one folder of ours in each hierarchy, a child of it per life. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "floor.h"

#define MAX_CGROUPS 32

static int folders[MAX_CGROUPS], on_v2[MAX_CGROUPS], folder_count;
static const char *limit_files[MAX_CGROUPS], *limit_values[MAX_CGROUPS];
static int limit_folders[MAX_CGROUPS], limit_count;

void add_folder(const char *path) {
	if (folder_count == MAX_CGROUPS)
		exit(2);
	int fd = check(open(path, O_PATH | O_DIRECTORY | O_CLOEXEC), path);
	on_v2[folder_count] = faccessat(fd, "tasks", F_OK, 0) < 0;
	folders[folder_count++] = fd;
}

/* "memory.limit_in_bytes=1000": the hierarchy is the one that has such a file. */
void add_limit(char *assignment) {
	char *value = strchr(assignment, '=');
	if (!value || limit_count == MAX_CGROUPS)
		exit(2);
	*value++ = 0;
	for (int i = 0; i < folder_count; i++)
		if (faccessat(folders[i], assignment, F_OK, 0) == 0) {
			limit_folders[limit_count] = i;
			limit_files[limit_count] = assignment;
			limit_values[limit_count++] = value;
			return;
		}
	fprintf(stderr, "floor: no hierarchy has %s\n", assignment);
	exit(2);
}

void make_cgroups(const char *name) {
	for (int i = 0; i < folder_count; i++)
		check(mkdirat(folders[i], name, 0755), "mkdir cgroup");
}

static const char *const device_rules[] = {
	"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:5 rwm", "c 1:7 rwm", "c 1:8 rwm",
	"c 1:9 rwm", "c 5:0 rwm", "c 5:1 rwm", "c 5:2 rwm", "c 136:* rwm",
};

static int open_below(int folder, const char *name, const char *file, int flags) {
	char path[128];
	snprintf(path, sizeof path, "%s/%s", name, file);
	return openat(folder, path, flags | O_CLOEXEC);
}

void set_limits(const char *name) {
	for (int i = 0; i < limit_count; i++) {
		int fd = check(open_below(folders[limit_folders[i]], name, limit_files[i], O_WRONLY), limit_files[i]);
		check(write(fd, limit_values[i], strlen(limit_values[i])), limit_files[i]);
		close(fd);
	}
}

void restrict_devices(const char *name) {
	for (int i = 0; i < folder_count; i++) {
		int fd = open_below(folders[i], name, "devices.deny", O_WRONLY);
		if (fd < 0)
			continue;
		check(write(fd, "a", 1), "devices.deny");
		close(fd);
		fd = check(open_below(folders[i], name, "devices.allow", O_WRONLY), "devices.allow");
		for (size_t r = 0; r < COUNT(device_rules); r++)
			check(write(fd, device_rules[r], strlen(device_rules[r])), "devices.allow");
		close(fd);
		return;
	}
}

/* What a result tells of a run; the hierarchy of each is looked for once. */
void read_usage(const char *name) {
	static struct { const char *file; int folder; } figures[] = {
		{"cpuacct.usage", -1}, {"cpuacct.usage_all", -1}, {"cpu.stat", -1},
		{"memory.max_usage_in_bytes", -1}, {"memory.memsw.max_usage_in_bytes", -1},
		{"memory.oom_control", -1}, {"blkio.bfq.io_service_bytes_recursive", -1},
		{"blkio.throttle.io_service_bytes_recursive", -1}, {"pids.peak", -1},
	};
	char text[4096];
	for (size_t f = 0; f < COUNT(figures); f++) {
		for (int i = 0; figures[f].folder == -1 && i < folder_count; i++) {
			int fd = open_below(folders[i], name, figures[f].file, O_RDONLY);
			if (fd >= 0) {
				figures[f].folder = i;
				close(fd);
			}
		}
		if (figures[f].folder == -1)
			figures[f].folder = -2; /* no such file on this kernel */
		if (figures[f].folder < 0)
			continue;
		int fd = check(open_below(folders[figures[f].folder], name, figures[f].file, O_RDONLY), figures[f].file);
		check(read(fd, text, sizeof text), figures[f].file);
		close(fd);
	}
}

void join_cgroups(const char *name) {
	for (int i = 0; i < folder_count; i++) {
		if (on_v2[i])
			continue; /* born there: CLONE_INTO_CGROUP */
		int fd = check(open_below(folders[i], name, "tasks", O_WRONLY), "open tasks");
		check(write(fd, "0", 1), "join cgroup");
		close(fd);
	}
}

void remove_cgroups(const char *name) {
	for (int i = folder_count - 1; i >= 0; i--)
		while (unlinkat(folders[i], name, AT_REMOVEDIR) < 0)
			if (errno != EBUSY)
				check(-1, "rmdir cgroup");
}

int v2_cgroup(const char *name) {
	for (int i = 0; i < folder_count; i++)
		if (on_v2[i])
			return check(openat(folders[i], name, O_PATH | O_DIRECTORY | O_CLOEXEC), "open v2");
	return -1;
}
