"""Which number a system call has, by each entry to the kernel of a machine."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from aiocontainer._sys import libseccomp
from aiocontainer.config.seccomp import ArgRule
from aiocontainer.errors import UnsupportedFeature

__all__ = (
    "ABIS",
    "NEWER",
    "X32_BIT",
    "Abi",
    "Resolve",
    "call_name",
    "calls_of",
    "family_of",
)

Resolve: TypeAlias = Callable[[str, int], int | None]
"""As `aiocontainer._sys.libseccomp.resolve`."""

X32_BIT: Final = 0x4000_0000
"""Set in the numbers of x32, which shares ``AUDIT_ARCH_X86_64``."""


@dataclass(frozen=True, slots=True)
class Abi:
    """An entry to the kernel with its own numbers."""

    audit_arch: int
    """``AUDIT_ARCH_*``, of ``include/uapi/linux/audit.h``."""
    token: int
    """What libseccomp calls it; differs for x32 only."""
    base: int = 0
    """The first number."""
    has_multiplexers: bool = False
    """Some calls are made through socketcall(2) and ipc(2) too."""


ABIS: Final = {
    "X86_64": Abi(0xC000_003E, 0xC000_003E),
    "X32": Abi(0xC000_003E, 0x4000_003E, base=X32_BIT),
    "X86": Abi(0x4000_0003, 0x4000_0003, has_multiplexers=True),
    "AARCH64": Abi(0xC000_00B7, 0xC000_00B7),
    "ARM": Abi(0x4000_0028, 0x4000_0028),
    "RISCV64": Abi(0xC000_00F3, 0xC000_00F3),
    "PPC64LE": Abi(0xC000_0015, 0xC000_0015, has_multiplexers=True),
}

# What os.uname() says -> the entries of its kernel, its own first.
_FAMILIES: Final = {
    "x86_64": ("X86_64", "X86", "X32"),
    "i686": ("X86",),
    "aarch64": ("AARCH64", "ARM"),
    "armv7l": ("ARM",),
    "riscv64": ("RISCV64",),
    "ppc64le": ("PPC64LE",),
}


def family_of(machine: str) -> tuple[str, ...]:
    """The entries of this machine's kernel, its own first.

    Raises:
        UnsupportedFeature: no tables for it.
    """
    if machine not in _FAMILIES:
        raise UnsupportedFeature(
            "seccomp",
            f"no system call tables for {machine}",
            "set seccomp=None to run without a filter",
        )
    return _FAMILIES[machine]


def _numbered(first: int, names: str) -> dict[str, int]:
    return {name: number for number, name in enumerate(names.split(), first)}


# From scripts/syscall.tbl of Linux 6.17. An older libseccomp doesn't know them.
NEWER: Final = _numbered(
    424,
    "pidfd_send_signal io_uring_setup io_uring_enter io_uring_register open_tree "
    "move_mount fsopen fsconfig fsmount fspick pidfd_open clone3 close_range openat2 "
    "pidfd_getfd faccessat2 process_madvise epoll_pwait2 mount_setattr quotactl_fd "
    "landlock_create_ruleset landlock_add_rule landlock_restrict_self memfd_secret "
    "process_mrelease futex_waitv set_mempolicy_home_node cachestat fchmodat2 "
    "map_shadow_stack futex_wake futex_wait futex_requeue statmount listmount "
    "lsm_get_self_attr lsm_set_self_attr lsm_list_modules mseal setxattrat getxattrat "
    "listxattrat removexattrat open_tree_attr file_getattr file_setattr",
)
"""Numbers since Linux 5.1, which are the same on all machines."""

# The calls of socketcall(2), from 1, and of ipc(2): include/uapi/linux/net.h and ipc.h.
_SOCKETCALLS: Final = _numbered(
    1,
    "socket bind connect listen accept getsockname getpeername socketpair send recv "
    "sendto recvfrom shutdown setsockopt getsockopt sendmsg recvmsg accept4 recvmmsg "
    "sendmmsg",
)
_IPC_CALLS: Final = {
    **_numbered(1, "semop semget semctl semtimedop"),
    **_numbered(11, "msgsnd msgrcv msgget msgctl"),
    **_numbered(21, "shmat shmdt shmget shmctl"),
}

# Made directly too since Linux 4.3 and 5.1; libseccomp gives no number for these.
_DIRECT_ON_X86: Final = {
    **_numbered(
        359,
        "socket socketpair bind connect listen accept4 getsockopt setsockopt "
        "getsockname getpeername sendto sendmsg recvfrom recvmsg shutdown",
    ),
    **_numbered(
        393, "semget semctl shmget shmctl shmat shmdt msgget msgsnd msgrcv msgctl"
    ),
}


_NAMES_OF_NEWER: Final = {number: name for name, number in NEWER.items()}


def call_name(number: int, audit_arch: int) -> tuple[str, str]:
    """(name, entry) of the call of this number, as ``("mkdirat", "X86_64")``; made up
    where it isn't known, as ``("syscall_999", "X86_64")``.

    Raises:
        OSError: libseccomp isn't installed.
    """
    is_x32 = audit_arch == ABIS["X32"].audit_arch and number & X32_BIT
    for entry, abi in ABIS.items():
        if abi.audit_arch == audit_arch and bool(abi.base) == bool(is_x32):
            name = libseccomp.name_of(number, abi.token)
            name = name or _NAMES_OF_NEWER.get(number - abi.base)
            return name or f"syscall_{number}", entry
    return f"syscall_{number}", f"{audit_arch:#x}"


def calls_of(
    abi: Abi, name: str, resolve: Resolve
) -> Iterator[tuple[int, ArgRule | None]]:
    """Each number by which the call is made, with the argument that tells it from the
    others of a multiplexer. Nothing if this entry doesn't have it.

    Raises:
        OSError: libseccomp isn't installed.
    """
    number = resolve(name, abi.token)
    if number is None and name in NEWER:
        number = NEWER[name] + abi.base
    if number is not None and number >= 0:
        yield number, None
    elif abi is ABIS["X86"] and name in _DIRECT_ON_X86:
        yield _DIRECT_ON_X86[name], None
    if not abi.has_multiplexers:
        return
    for multiplexer, calls, mask in (
        ("socketcall", _SOCKETCALLS, 0xFFFF_FFFF),
        # The upper half of ipc's number is the version of its argument block.
        ("ipc", _IPC_CALLS, 0xFFFF),
    ):
        number = resolve(multiplexer, abi.token)
        if name in calls and number is not None and number >= 0:
            yield (
                number,
                ArgRule(index=0, op="MASKED_EQ", value=mask, value_two=calls[name]),
            )
