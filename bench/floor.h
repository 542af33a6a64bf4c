/* What the two halves of the floor share. */
#ifndef FLOOR_H
#define FLOOR_H

#define COUNT(table) (sizeof(table) / sizeof *(table))

#ifdef PROFILE
void mark(const char *step);
#define MARK(step) mark(step)
#else
#define MARK(step) ((void)0)
#endif

/* The result, or the end of this process with the kernel's reason. */
long check(long result, const char *what);

/* Folders that cgroups are made below, and "file=value" limits that each gets. */
void add_folder(const char *path);
void add_limit(char *assignment);

/* In all folders; ``name`` may have a slash, for a child of a child. */
void make_cgroups(const char *name);
void restrict_devices(const char *name);
void set_limits(const char *name);
int v2_cgroup(const char *name);
void join_cgroups(const char *name);
void read_usage(const char *name);
void remove_cgroups(const char *name);

/* Make the default root file system of ``rootfs`` and make it the root. */
void build_rootfs(const char *rootfs);

#endif
