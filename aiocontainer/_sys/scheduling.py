"""How the kernel schedules this process: CPUs, policy, I/O priority, memory nodes."""

from __future__ import annotations

import struct
from ctypes import c_char_p, c_int, c_size_t, c_uint, c_ulong

from . import constants as c
from .libc import call, function, syscall

_IOPRIO_WHO_PROCESS = 1
_PR_SET_PDEATHSIG = 1
_ATTR_SIZE = 56  # SCHED_ATTR_SIZE_VER1 of include/uapi/linux/sched/types.h

_sched_setattr = syscall(c.number("sched_setattr"), c_int, c_char_p, c_uint)
_sched_setaffinity = syscall(c.number("sched_setaffinity"), c_int, c_size_t, c_char_p)
_ioprio_set = syscall(c.number("ioprio_set"), c_int, c_int, c_int)
_set_mempolicy = syscall(c.number("set_mempolicy"), c_int, c_char_p, c_ulong)
_personality = syscall(c.number("personality"), c_ulong)
_prctl = function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)


def set_scheduler(
    pid: int,
    policy: int,
    flags: int,
    nice: int,
    priority: int,
    deadline: tuple[int, int, int],
    clamps: tuple[int, int],
) -> None:
    """sched_setattr(2); pid 0 is the caller; ``deadline`` is (runtime,
    deadline, period) in nanoseconds, ``clamps`` the least and most utilization."""
    data = struct.pack(
        "=IIQiIQQQII", _ATTR_SIZE, policy, flags, nice, priority, *deadline, *clamps
    )
    call("sched_setattr", _sched_setattr, pid, data, 0)


def set_affinity(mask: bytes) -> None:
    """sched_setaffinity(2); bits of CPUs that aren't there, or not in our cpuset, are
    ignored as long as one is left."""
    call("sched_setaffinity", _sched_setaffinity, 0, len(mask), mask)


def set_io_priority(pid: int, value: int) -> None:
    """ioprio_set(2): class in the bits from 13 on, level below."""
    call("ioprio_set", _ioprio_set, _IOPRIO_WHO_PROCESS, pid, value)


def set_memory_policy(mode: int, nodes: bytes) -> None:
    """set_mempolicy(2); ``nodes`` is a bit mask of whole machine words, or empty."""
    # The kernel takes one bit less than it is told of (get_nodes in mm/mempolicy.c).
    bits = len(nodes) * 8 + 1 if nodes else 0
    call("set_mempolicy", _set_mempolicy, mode, nodes or None, bits)


def set_personality(value: int) -> None:
    """personality(2)."""
    call("personality", _personality, value)


def set_parent_death_signal(number: int) -> None:
    """prctl(2) ``PR_SET_PDEATHSIG``; every change of credentials clears it."""
    call("prctl", _prctl, _PR_SET_PDEATHSIG, number, 0, 0, 0)
