"""The library's own filter: what ordinary programs call, and nothing else.

It refuses what the well-known default profile refuses, and beside that: sockets of
families that no ordinary program opens, terminal injection, and x32.
"""

from typing import Final

from .seccomp import Action, ArgRule, Seccomp, SyscallRule

__all__ = ("DEFAULT_SECCOMP",)

_ENOSYS: Final = 38
_INT: Final = 0xFFFF_FFFF  # the bits that count where the kernel's argument is an int

_FILES: Final = """
_llseek access chdir chmod chown chown32 close close_range copy_file_range creat dup
dup2 dup3 faccessat faccessat2 fadvise64 fadvise64_64 arm_fadvise64_64 fallocate fchdir
fchmod fchmodat fchmodat2 fchown fchown32 fchownat fcntl fcntl64 fdatasync fgetxattr
flistxattr flock fremovexattr fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync
ftruncate ftruncate64 futimesat getcwd getdents getdents64 getxattr getxattrat lchown
lchown32 lgetxattr link linkat listxattr listxattrat llistxattr lremovexattr lseek
lsetxattr lstat lstat64 mkdir mkdirat mknod mknodat name_to_handle_at newfstatat open
openat openat2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readdir
readlink readlinkat readv removexattr removexattrat rename renameat renameat2 rmdir
sendfile sendfile64 setxattr setxattrat splice stat stat64 statfs statfs64 statx symlink
symlinkat sync sync_file_range sync_file_range2 syncfs tee truncate truncate64 umask
unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
"""

_WAITING: Final = """
_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2
epoll_wait epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init
inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents
io_pgetevents_time64 io_setup io_submit pipe pipe2 poll ppoll ppoll_time64 pselect6
pselect6_time64 select signalfd signalfd4 timerfd_create timerfd_gettime
timerfd_gettime64 timerfd_settime timerfd_settime64
"""

_MEMORY: Final = """
brk cachestat madvise map_shadow_stack membarrier memfd_create memfd_secret mincore
mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap
pkey_alloc pkey_free pkey_mprotect process_mrelease remap_file_pages
"""

_PROCESSES: Final = """
arch_prctl capget capset execve execveat exit exit_group fork futex futex_requeue
futex_time64 futex_wait futex_waitv futex_wake get_robust_list get_thread_area getegid
getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid
getppid getresgid getresgid32 getresuid getresuid32 getsid gettid getuid getuid32 kill
pidfd_open pidfd_send_signal prctl rseq set_robust_list set_thread_area set_tid_address
set_tls setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
setpgid setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
setreuid32 setsid setuid setuid32 tgkill tkill vfork wait4 waitid waitpid
"""

_SCHEDULING: Final = """
getcpu getpriority getrlimit getrusage ioprio_get ioprio_set nice prlimit64
sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr
sched_getparam sched_getscheduler sched_rr_get_interval sched_rr_get_interval_time64
sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield
setpriority setrlimit times ugetrlimit
"""

_SIGNALS_AND_TIME: Final = """
adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64
clock_gettime clock_gettime64 clock_nanosleep clock_nanosleep_time64 getitimer
gettimeofday nanosleep pause restart_syscall rt_sigaction rt_sigpending rt_sigprocmask
rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64
rt_tgsigqueueinfo setitimer sigaction sigaltstack signal sigpending sigprocmask
sigreturn sigsuspend time timer_create timer_delete timer_getoverrun timer_gettime
timer_gettime64 timer_settime timer_settime64
"""

_MESSAGES: Final = """
ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend
mq_timedsend_time64 mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop
semtimedop_time64 shmat shmctl shmdt shmget
"""

_SOCKETS: Final = """
accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom
recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg sendto setsockopt shutdown
"""

# arm: what the kernel has for user space in place of instructions.
_MACHINE: Final = """
breakpoint cacheflush getrandom landlock_add_rule landlock_create_ruleset
landlock_restrict_self lsm_get_self_attr lsm_list_modules riscv_flush_icache
riscv_hwprobe seccomp sysinfo uname
"""

_BY_CAPABILITY: Final = {
    "SYS_ADMIN": """
        bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick listmount
        lookup_dcookie lsm_set_self_attr mount mount_setattr move_mount open_tree
        open_tree_attr perf_event_open pivot_root quotactl quotactl_fd setdomainname
        sethostname setns statmount syslog umount umount2 unshare
    """,
    "BPF": "bpf",
    "DAC_READ_SEARCH": "open_by_handle_at",
    "PERFMON": "perf_event_open",
    "SYSLOG": "syslog",
    "SYS_BOOT": "reboot",
    "SYS_CHROOT": "chroot",
    "SYS_MODULE": "delete_module finit_module init_module",
    "SYS_NICE": "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
    "SYS_PACCT": "acct",
    "SYS_PTRACE": """
        kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace
    """,
    "SYS_RAWIO": "ioperm iopl",
    "SYS_TIME": "clock_settime clock_settime64 settimeofday stime",
    "SYS_TTY_CONFIG": "vhangup",
}

# AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET. All others would load modules that
# few people look at (AF_ALG, AF_VSOCK, AF_TIPC, AF_RDS, AF_CAN, AF_KCM, AF_SMC...).
_SOCKET_FAMILIES: Final = (1, 2, 10, 16, 17)

# PER_LINUX, PER_LINUX32, each with UNAME26, and the question for the present value.
_PERSONALITIES: Final = (0x0, 0x8, 0x20000, 0x20008, 0xFFFFFFFF)

# CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET: what a process may
# see and reach grows with a user namespace of its own.
_NAMESPACE_FLAGS: Final = 0x7E02_0000

# They put characters into a terminal's input, to be read by whoever has it next
# (CVE-2017-5226, CVE-2019-7303).
_TIOCSTI: Final = 0x5412
_TIOCLINUX: Final = 0x541C


def _when(names: str, *args: ArgRule, action: Action = "ALLOW") -> SyscallRule:
    return SyscallRule(names=tuple(names.split()), args=args, action=action)


def _is(index: int, value: int) -> ArgRule:
    """The argument, an ``int`` to the kernel, has this value."""
    return ArgRule(index=index, op="MASKED_EQ", value=_INT, value_two=value)


def _rules() -> tuple[SyscallRule, ...]:
    everyday = (
        _FILES,
        _WAITING,
        _MEMORY,
        _PROCESSES,
        _SCHEDULING,
        _SIGNALS_AND_TIME,
        _MESSAGES,
        _SOCKETS,
        _MACHINE,
    )
    no_namespaces = ArgRule(index=0, op="MASKED_EQ", value=_NAMESPACE_FLAGS)
    return (
        *map(_when, everyday),
        *(
            SyscallRule(
                names=tuple(names.split()), when_capabilities=frozenset({capability})
            )
            for capability, names in _BY_CAPABILITY.items()
        ),
        _when("clone", no_namespaces),
        # Its flags are in memory, out of a filter's reach. ENOSYS makes the C library
        # use clone instead. The two below are as new: programs look elsewhere then.
        SyscallRule(
            names=("clone3", "statmount", "listmount"), action="ERRNO", errno=_ENOSYS
        ),
        # Before 4.8 a tracer could change a call after the filter had passed it.
        SyscallRule(
            names=("process_vm_readv", "process_vm_writev", "ptrace"),
            min_kernel=(4, 8),
        ),
        *(_when("personality", _is(0, value)) for value in _PERSONALITIES),
        *(_when("socket socketpair", _is(0, family)) for family in _SOCKET_FAMILIES),
        _when("ioctl", _is(1, _TIOCSTI), action="ERRNO"),
        _when("ioctl", _is(1, _TIOCLINUX), action="ERRNO"),
        _when("ioctl"),
    )


# Refused by not being named: io_uring and keyctl families, userfaultfd, kexec, swap,
# module loading by old calls, nfsservctl, vm86, modify_ldt, obsolete calls.
DEFAULT_SECCOMP: Final = Seccomp(
    default_action="ERRNO",
    # Of these, a machine has its own and the 32-bit one. Not x32, which nothing uses.
    architectures=("X86_64", "X86", "AARCH64", "ARM", "RISCV64", "PPC64LE"),
    syscalls=_rules(),
)
"""The filter of a container whose ``seccomp`` isn't given. See `Seccomp`."""
