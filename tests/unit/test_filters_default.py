"""The default filter: what it answers, run by a small interpreter of BPF."""

import json

import pytest

from aiocontainer._sys import libseccomp
from aiocontainer.config import (
    DEFAULT_CAPABILITIES,
    DEFAULT_SECCOMP,
    Seccomp,
)
from aiocontainer.plan.filters import compile_filter, compile_for
from aiocontainer.plan.syscalls import ABIS, calls_of

from ..support.bpf import run

KERNEL = (6, 1)
ALLOW = 0x7FFF0000
EPERM = 0x00050001
ENOSYS = 0x00050026
LOG = 0x7FFC0000
X86_64 = ABIS["X86_64"].audit_arch
X86 = ABIS["X86"].audit_arch
AARCH64 = ABIS["AARCH64"].audit_arch
ARM = ABIS["ARM"].audit_arch


def number_of(name: str, abi: str) -> int:
    return next(iter(calls_of(ABIS[abi], name, libseccomp.resolve)))[0]


def default_for(machine: str = "x86_64", *capabilities: str) -> bytes:
    held = DEFAULT_CAPABILITIES.bounding.union(capabilities)
    return compile_for(DEFAULT_SECCOMP, held, machine, KERNEL).bpf


PLAIN = default_for()

ORDINARY = """
read openat execve futex epoll_ctl pidfd_open close_range statx wait4 fork rt_sigreturn
exit_group chroot ptrace landlock_create_ruleset seccomp fchmodat2 mseal getrandom
memfd_create
"""

HOSTILE = """
io_uring_setup io_uring_enter io_uring_register userfaultfd keyctl add_key request_key
bpf perf_event_open mount umount2 pivot_root setns unshare kexec_load init_module
delete_module swapon reboot settimeofday acct open_tree move_mount fsopen fsmount
mount_setattr open_by_handle_at kcmp modify_ldt iopl quotactl syslog process_madvise
pidfd_getfd mbind fanotify_init lookup_dcookie nfsservctl uselib vhangup
"""


@pytest.mark.parametrize("abi", ["X86_64", "X86"])
@pytest.mark.parametrize(
    "name",
    [
        "read",
        "openat",
        "execve",
        "futex",
        "epoll_ctl",
        "pidfd_open",
        "close_range",
        "statx",
        "wait4",
        "fork",
        "rt_sigreturn",
        "exit_group",
        "chroot",
        "ptrace",
        "landlock_create_ruleset",
        "seccomp",
        "fchmodat2",
        "mseal",
        "getrandom",
        "memfd_create",
    ],
)
def test_the_default_allows_what_ordinary_programs_call(name: str, abi: str) -> None:
    assert run(PLAIN, ABIS[abi].audit_arch, number_of(name, abi)) == ALLOW


@pytest.mark.parametrize("abi", ["X86_64", "X86"])
@pytest.mark.parametrize(
    "name",
    [
        "io_uring_setup",
        "io_uring_enter",
        "io_uring_register",
        "userfaultfd",
        "keyctl",
        "add_key",
        "request_key",
        "bpf",
        "perf_event_open",
        "mount",
        "umount2",
        "pivot_root",
        "setns",
        "unshare",
        "kexec_load",
        "init_module",
        "delete_module",
        "swapon",
        "reboot",
        "settimeofday",
        "acct",
        "open_tree",
        "move_mount",
        "fsopen",
        "fsmount",
        "mount_setattr",
        "open_by_handle_at",
        "kcmp",
        "modify_ldt",
        "iopl",
        "quotactl",
        "syslog",
        "process_madvise",
        "pidfd_getfd",
        "mbind",
        "fanotify_init",
        "lookup_dcookie",
        "nfsservctl",
        "uselib",
        "vhangup",
    ],
)
def test_the_default_refuses_what_reaches_the_host(name: str, abi: str) -> None:
    assert run(PLAIN, ABIS[abi].audit_arch, number_of(name, abi)) == EPERM


@pytest.mark.parametrize(
    ("capability", "name"),
    [
        ("CAP_SYS_ADMIN", "mount"),
        ("CAP_SYS_ADMIN", "unshare"),
        ("CAP_SYS_ADMIN", "setns"),
        ("CAP_SYS_ADMIN", "bpf"),
        ("CAP_SYS_ADMIN", "clone3"),
        ("CAP_SYS_ADMIN", "statmount"),
        ("CAP_BPF", "bpf"),
        ("CAP_PERFMON", "perf_event_open"),
        ("CAP_SYSLOG", "syslog"),
        ("CAP_SYS_PTRACE", "pidfd_getfd"),
        ("CAP_SYS_TIME", "clock_settime"),
        ("CAP_SYS_NICE", "mbind"),
        ("CAP_SYS_MODULE", "init_module"),
        ("CAP_SYS_BOOT", "reboot"),
        ("CAP_SYS_RAWIO", "iopl"),
        ("CAP_DAC_READ_SEARCH", "open_by_handle_at"),
    ],
)
def test_a_capability_opens_the_calls_that_it_is_for(
    capability: str, name: str
) -> None:
    number = number_of(name, "X86_64")
    assert run(PLAIN, X86_64, number) in (EPERM, ENOSYS)
    assert run(default_for("x86_64", capability), X86_64, number) == ALLOW


def test_no_capability_opens_io_uring_userfaultfd_or_keyrings() -> None:
    everything = frozenset(f"CAP_{n}" for n in ["SYS_ADMIN", "SYS_PTRACE", "BPF"])
    program = default_for("x86_64", *everything)
    for name in ("io_uring_setup", "userfaultfd", "keyctl"):
        assert run(program, X86_64, number_of(name, "X86_64")) == EPERM


CLONE, IOCTL, SOCKET, PERSONALITY = 56, 16, 41, 135
HIGH = 1 << 32  # a bit that the kernel cuts off where its argument is an int


@pytest.mark.parametrize(
    ("number", "args", "wanted"),
    [
        pytest.param(CLONE, (0x11,), ALLOW, id="clone: a fork"),
        pytest.param(CLONE, (0x3D0F00,), ALLOW, id="clone: a thread"),
        pytest.param(CLONE, (0x10000000,), EPERM, id="clone: user namespace"),
        pytest.param(CLONE, (0x20000 | 0x11,), EPERM, id="clone: mount namespace"),
        pytest.param(CLONE, (0x02000000,), EPERM, id="clone: cgroup namespace"),
        pytest.param(CLONE, (0x40000000,), EPERM, id="clone: network namespace"),
        pytest.param(435, (), ENOSYS, id="clone3"),
        pytest.param(457, (), ENOSYS, id="statmount"),
        pytest.param(IOCTL, (0, 0x5401), ALLOW, id="ioctl: TCGETS"),
        pytest.param(IOCTL, (0, 0x5412), EPERM, id="ioctl: TIOCSTI"),
        pytest.param(IOCTL, (0, HIGH | 0x5412), EPERM, id="ioctl: TIOCSTI, high bit"),
        pytest.param(IOCTL, (0, 0x541C), EPERM, id="ioctl: TIOCLINUX"),
        pytest.param(IOCTL, (0, HIGH | 0x541C), EPERM, id="ioctl: TIOCLINUX, high"),
        pytest.param(SOCKET, (1,), ALLOW, id="socket: AF_UNIX"),
        pytest.param(SOCKET, (2,), ALLOW, id="socket: AF_INET"),
        pytest.param(SOCKET, (10,), ALLOW, id="socket: AF_INET6"),
        pytest.param(SOCKET, (16,), ALLOW, id="socket: AF_NETLINK"),
        pytest.param(SOCKET, (38,), EPERM, id="socket: AF_ALG"),
        pytest.param(SOCKET, (HIGH | 38,), EPERM, id="socket: AF_ALG, high bit"),
        pytest.param(SOCKET, (40,), EPERM, id="socket: AF_VSOCK"),
        pytest.param(SOCKET, (31,), EPERM, id="socket: AF_BLUETOOTH"),
        pytest.param(PERSONALITY, (0,), ALLOW, id="personality: Linux"),
        pytest.param(PERSONALITY, (0xFFFFFFFF,), ALLOW, id="personality: question"),
        pytest.param(PERSONALITY, (0x40000,), EPERM, id="personality: no ASLR"),
    ],
)
def test_the_default_looks_at_arguments(
    number: int, args: tuple[int, ...], wanted: int
) -> None:
    assert run(PLAIN, X86_64, number, args) == wanted


@pytest.mark.parametrize(
    ("number", "args", "wanted"),
    [
        pytest.param(359, (2,), ALLOW, id="socket, directly"),
        pytest.param(359, (38,), EPERM, id="socket AF_ALG, directly"),
        pytest.param(102, (1,), EPERM, id="socketcall: socket, of unknown family"),
        pytest.param(102, (8,), EPERM, id="socketcall: socketpair, likewise"),
        pytest.param(102, (3,), ALLOW, id="socketcall: connect"),
        pytest.param(102, (17,), ALLOW, id="socketcall: recvmsg"),
        pytest.param(102, (99,), EPERM, id="socketcall: no such call"),
        pytest.param(117, (0x1_0002,), ALLOW, id="ipc: semget, with a version"),
    ],
)
def test_on_x86_multiplexed_calls_are_told_apart(
    number: int, args: tuple[int, ...], wanted: int
) -> None:
    assert run(PLAIN, X86, number, args) == wanted


@pytest.mark.parametrize(
    ("arch", "number"),
    [
        pytest.param(X86_64, 500, id="a number of the future"),
        pytest.param(X86_64, 0x3FFFFFFF, id="far beyond"),
        pytest.param(X86, 500, id="a number of the future on x86"),
        pytest.param(X86_64, 0x40000000, id="x32: read"),
        pytest.param(X86_64, 0x40000000 | 520, id="x32: execve"),
        pytest.param(X86_64, 0xFFFFFFFF, id="no number"),
        pytest.param(AARCH64, 63, id="another machine"),
    ],
)
def test_what_the_profile_cannot_know_looks_like_an_older_kernel(
    arch: int, number: int
) -> None:
    assert run(PLAIN, arch, number) == ENOSYS


def test_on_arm_the_calls_beyond_the_table_are_kept() -> None:
    program = default_for("aarch64")
    assert run(program, ARM, 983042) == ALLOW  # cacheflush
    assert run(program, ARM, 983043) == ENOSYS
    assert run(program, AARCH64, 63) == ALLOW  # read
    assert run(program, AARCH64, 500) == ENOSYS
    assert run(program, X86_64, 0) == ENOSYS


def test_tracing_is_refused_before_the_kernel_checked_it() -> None:
    old = compile_for(DEFAULT_SECCOMP, frozenset(), "x86_64", (4, 4)).bpf
    assert run(old, X86_64, 101) == EPERM
    assert run(PLAIN, X86_64, 101) == ALLOW


@pytest.mark.parametrize("capabilities", [(), ("CAP_SYS_ADMIN", "CAP_SYS_PTRACE")])
def test_the_default_means_the_same_as_an_oci_document(
    capabilities: tuple[str, ...],
) -> None:
    held = frozenset(capabilities)
    document = json.loads(json.dumps(DEFAULT_SECCOMP.to_oci(held)))
    again = compile_filter(Seccomp.from_docker(document), held).bpf
    ours = compile_filter(DEFAULT_SECCOMP, held).bpf
    for number in range(470):
        for args in ((), (1, 0x5412), (2**32 - 1, 2**64 - 1), (0x1000_0000, 16)):
            call = (ABIS["X86_64"].audit_arch, number, args)
            # The document doesn't name calls that are for other capabilities, so the
            # newest of these look newer than it.
            is_allowed = run(ours, *call) == ALLOW
            assert (run(again, *call) == ALLOW) == is_allowed, call
