"""Numbers of the kernel's user interface, under the kernel's names.

System call numbers below 424 differ by architecture; those from 424 on are the same
everywhere. Sources: ``include/uapi/linux/{sched,mount,openat2,prctl,seccomp}.h``,
``include/uapi/asm-generic/unistd.h``, ``arch/x86/entry/syscalls/syscall_64.tbl``.
"""

import os

MACHINE = os.uname().machine

# name: (x86_64, the generic table of aarch64 and riscv64)
_NUMBERS = {
    "clone": (56, 220),
    "pivot_root": (155, 41),
    "waitid": (247, 95),
    "capset": (126, 91),
    "keyctl": (250, 219),
    "seccomp": (317, 277),
    "setns": (308, 268),
    "unshare": (272, 97),
    "rt_sigaction": (13, 134),
    "mmap": (9, 222),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "statx": (332, 291),
    "sched_setattr": (314, 274),
    "sched_setaffinity": (203, 122),
    "ioprio_set": (251, 30),
    "set_mempolicy": (238, 237),
    "personality": (135, 92),
}
_COLUMN = 0 if MACHINE == "x86_64" else 1


def number(name: str) -> int:
    """Number of a system call whose number depends on the architecture."""
    return _NUMBERS[name][_COLUMN]


SYS_OPEN_TREE = 428
SYS_MOVE_MOUNT = 429
SYS_FSOPEN = 430
SYS_FSCONFIG = 431
SYS_FSMOUNT = 432
SYS_FSPICK = 433
SYS_CLONE3 = 435
SYS_OPENAT2 = 437
SYS_CLOSE_RANGE = 436
SYS_MOUNT_SETATTR = 442

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

O_PATH = os.O_PATH
O_CLOEXEC = os.O_CLOEXEC
O_DIRECTORY = os.O_DIRECTORY
O_NOFOLLOW = os.O_NOFOLLOW

RESOLVE_NO_XDEV = 0x01
RESOLVE_NO_MAGICLINKS = 0x02
RESOLVE_NO_SYMLINKS = 0x04
RESOLVE_BENEATH = 0x08
RESOLVE_IN_ROOT = 0x10

CLONE_NEWTIME = 0x00000080
CLONE_FILES = 0x00000400
CLONE_PIDFD = 0x00001000
CLONE_PARENT = 0x00008000
CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000
NAMESPACES = {
    "mount": CLONE_NEWNS,
    "pid": CLONE_NEWPID,
    "uts": CLONE_NEWUTS,
    "ipc": CLONE_NEWIPC,
    "network": CLONE_NEWNET,
    "cgroup": CLONE_NEWCGROUP,
    "time": CLONE_NEWTIME,
}
"""All kinds but the user namespace, which owns the others."""
CLONE_INTO_CGROUP = 0x200000000

OPEN_TREE_CLONE = 1
OPEN_TREE_CLOEXEC = O_CLOEXEC
FSOPEN_CLOEXEC = 1
FSMOUNT_CLOEXEC = 1
FSCONFIG_SET_FLAG = 0
FSCONFIG_SET_STRING = 1
FSCONFIG_CMD_CREATE = 6
FSCONFIG_CMD_RECONFIGURE = 7
FSPICK_CLOEXEC = 1
FSPICK_EMPTY_PATH = 8
MOVE_MOUNT_F_EMPTY_PATH = 0x04
MOVE_MOUNT_T_EMPTY_PATH = 0x40

MOUNT_ATTR_RDONLY = 0x01
MOUNT_ATTR_NOSUID = 0x02
MOUNT_ATTR_NODEV = 0x04
MOUNT_ATTR_NOEXEC = 0x08
MOUNT_ATTR_IDMAP = 0x0010_0000

MS_UNBINDABLE = 1 << 17
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_SHARED = 1 << 20
MNT_DETACH = 2

STATX_MNT_ID = 0x1000
STATX_MNT_ID_UNIQUE = 0x4000

SECCOMP_SET_MODE_FILTER = 1
KEYCTL_JOIN_SESSION_KEYRING = 1

MFD_EXEC = 0x10
F_SEAL_ALL = 0x2F
"""SEAL | SHRINK | GROW | WRITE | EXEC."""
F_SEAL_EXEC = 0x20
