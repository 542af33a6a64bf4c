/* The floor's second half: the container's file system, by descriptors alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "floor.h"

struct option { const char *key, *value; };
struct mount {
	const char *type, *target;
	int make_target;
	unsigned attributes;
	struct option options[4];
};

#define NSX (MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC)
static const struct mount default_mounts[] = {
	{"proc", "proc", 0, NSX | MOUNT_ATTR_NODEV, {{0}}},
	{"tmpfs", "dev", 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME,
	 {{"mode", "755"}, {"size", "65536k"}}},
	{"devpts", "dev/pts", 1, NSX,
	 {{"newinstance", 0}, {"ptmxmode", "0666"}, {"mode", "0620"}, {"gid", "5"}}},
	{"tmpfs", "dev/shm", 1, NSX | MOUNT_ATTR_NODEV, {{"mode", "1777"}, {"size", "65536k"}}},
	{"mqueue", "dev/mqueue", 1, NSX | MOUNT_ATTR_NODEV, {{0}}},
	{"sysfs", "sys", 0, NSX | MOUNT_ATTR_NODEV | MOUNT_ATTR_RDONLY, {{0}}},
};
static const struct { const char *name; unsigned minor, major; } devices[] = {
	{"null", 3, 1}, {"zero", 5, 1}, {"full", 7, 1}, {"random", 8, 1}, {"urandom", 9, 1}, {"tty", 0, 5},
};
static const char *const links[][2] = {
	{"/proc/self/fd", "fd"}, {"/proc/self/fd/0", "stdin"}, {"/proc/self/fd/1", "stdout"},
	{"/proc/self/fd/2", "stderr"}, {"pts/ptmx", "ptmx"},
};
static const char *const masked[] = {
	"proc/acpi", "proc/asound", "proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats",
	"proc/sched_debug", "proc/scsi", "proc/timer_list", "proc/timer_stats",
	"sys/devices/virtual/powercap", "sys/firmware",
};
static const char *const read_only[] = {
	"proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger",
};

static int open_in(int root, const char *path) {
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS};
	return syscall(SYS_openat2, root, path, &how, sizeof how);
}

static void attach(int mount, int target) {
	check(syscall(SYS_move_mount, mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH),
	      "move_mount");
}

static int make_mount(const char *type, unsigned attributes, const struct option *options) {
	int context = check(syscall(SYS_fsopen, type, FSOPEN_CLOEXEC), type);
	for (int i = 0; options && i < 4 && options[i].key; i++)
		check(syscall(SYS_fsconfig, context,
			      options[i].value ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG, options[i].key,
			      options[i].value, 0), options[i].key);
	check(syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, 0, 0, 0), type);
	int mount = check(syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, attributes), type);
	close(context);
	return mount;
}

static int clone_tree(int source, const char *path, unsigned flags) {
	return check(syscall(SYS_open_tree, source, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | flags),
		     "open_tree");
}

static void mount_default(int root, const struct mount *wanted) {
	int mount = make_mount(wanted->type, wanted->attributes, wanted->options);
	if (wanted->make_target)
		check(mkdirat(root, wanted->target, 0755), wanted->target);
	int target = check(open_in(root, wanted->target), wanted->target);
	attach(mount, target);
	close(target);
	close(mount);
}

static void fill_dev(int root) {
	int dev = check(open_in(root, "dev"), "dev");
	for (size_t i = 0; i < COUNT(devices); i++)
		check(mknodat(dev, devices[i].name, S_IFCHR | 0666, makedev(devices[i].major, devices[i].minor)), "mknod");
	for (size_t i = 0; i < COUNT(links); i++)
		check(symlinkat(links[i][0], dev, links[i][1]), "symlink");
	close(dev);
}

static void mask(int root) {
	struct stat found;
	int null = check(open("/dev/null", O_PATH | O_CLOEXEC), "/dev/null");
	int empty = -1;
	for (size_t i = 0; i < COUNT(masked); i++) {
		int target = open_in(root, masked[i]);
		if (target < 0)
			continue;
		check(fstat(target, &found), "fstat");
		int cover;
		if (!S_ISDIR(found.st_mode))
			cover = clone_tree(null, "", AT_EMPTY_PATH);
		else if (empty >= 0)
			cover = clone_tree(empty, "", AT_EMPTY_PATH);
		else /* the first one is attached itself: closing a tree that nobody attached
			costs an RCU grace period, 60 to 200 us (dissolve_on_fput) */
			cover = empty = make_mount("tmpfs", MOUNT_ATTR_RDONLY | NSX | MOUNT_ATTR_NODEV, NULL);
		attach(cover, target);
		if (cover != empty)
			close(cover);
		close(target);
	}
	close(empty);
	close(null);
}

static void make_read_only(int root) {
	struct mount_attr readonly = {.attr_set = MOUNT_ATTR_RDONLY};
	for (size_t i = 0; i < COUNT(read_only); i++) {
		int target = open_in(root, read_only[i]);
		if (target < 0)
			continue;
		int cover = clone_tree(target, "", AT_EMPTY_PATH | AT_RECURSIVE);
		check(syscall(SYS_mount_setattr, cover, "", AT_EMPTY_PATH | AT_RECURSIVE, &readonly, sizeof readonly),
		      "mount_setattr");
		attach(cover, target);
		close(cover);
		close(target);
	}
}

void build_rootfs(const char *rootfs) {
	struct mount_attr private = {.propagation = MS_PRIVATE};
	check(syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, &private, sizeof private), "propagation");
	MARK("propagation");
	int at = check(open(rootfs, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), rootfs);
	int tree = clone_tree(at, "", AT_EMPTY_PATH | AT_RECURSIVE);
	check(syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &private, sizeof private), "private");
	attach(tree, at);
	close(at);
	MARK("bind rootfs");
	for (size_t i = 0; i < COUNT(default_mounts); i++) {
		mount_default(tree, &default_mounts[i]);
		MARK(default_mounts[i].target);
	}
	fill_dev(tree);
	MARK("fill /dev");
	make_read_only(tree);
	MARK("read-only paths");
	mask(tree);
	MARK("mask");
	int old = check(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), "/");
	check(fchdir(tree), "fchdir");
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	MARK("pivot_root");
	check(fchdir(old), "fchdir");
	check(syscall(SYS_umount2, ".", 2 /* MNT_DETACH */), "umount2");
	check(chdir("/"), "chdir");
	close(old);
	MARK("umount old root");
}
