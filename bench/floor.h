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

/* Make the default root file system of ``rootfs`` and make it the root. */
void build_rootfs(const char *rootfs);

#endif
