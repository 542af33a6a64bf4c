"""Steps that say how the kernel schedules the program, and the same done from outside:
the kernel asks for the host's CAP_SYS_NICE and CAP_SYS_RESOURCE, which nobody has
inside a user namespace."""

from __future__ import annotations

import errno
import os
import resource
import select

from ..._sys import scheduling
from ..._sys.libc import call, fail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .child import Context

    Limits = tuple[tuple[int, int, int], ...]


_REALTIME = (1, 2)  # SCHED_FIFO, SCHED_RR
_DEADLINE = 6
_RESET_ON_FORK = 1
_NO_BUDGET = "takes CAP_SYS_NICE, and on v1 resources.cpu.realtime_runtime_us"


def set_affinity(_context: Context, mask: bytes, lenient: bool) -> None:
    """CPUs to run on; see the step about ``lenient``."""
    try:
        scheduling.set_affinity(mask)
    except OSError as error:
        if not (lenient and error.errno == errno.EINVAL):
            raise


def set_scheduler(
    _context: Context,
    policy: int,
    flags: int,
    nice: int,
    priority: int,
    deadline: tuple[int, int, int],
    clamps: tuple[int, int],
) -> None:
    """Scheduling policy of this process."""
    try:
        scheduling.set_scheduler(0, policy, flags, nice, priority, deadline, clamps)
    except PermissionError as error:
        if policy in _REALTIME:
            error.strerror = f"{error.strerror} ({_NO_BUDGET})"
        raise


def set_io_priority(_context: Context, value: int) -> None:
    """I/O priority of this process."""
    scheduling.set_io_priority(0, value)


def set_memory_policy(_context: Context, mode: int, nodes: bytes) -> None:
    """Memory policy of this process."""
    scheduling.set_memory_policy(mode, nodes)


def set_personality(_context: Context, value: int) -> None:
    """Execution domain of this process."""
    scheduling.set_personality(value)


def set_parent_death_signal(context: Context, signal: int) -> None:
    """Have the kernel signal us when our parent, the program, is gone; it may be by
    now, and then nobody is told any more."""
    scheduling.set_parent_death_signal(signal)
    watch = select.poll()
    watch.register(context.pipe, 0)  # POLLHUP comes unasked
    if watch.poll(0):
        os._exit(1)


def raise_limits(pid: int, limits: Limits) -> None:
    """Raise hard limits of a child; the soft ones it sets last of all itself."""
    for kind, _, hard in limits:
        present = resource.prlimit(pid, kind)
        if is_above(hard, present[1]):
            try:
                call("prlimit", resource.prlimit, pid, kind, (present[0], hard))
            except ValueError:  # what Python makes of EPERM
                fail("prlimit", errno.EPERM)


def is_above(value: int, other: int) -> bool:
    """Whether a limit is higher than another."""
    return other != resource.RLIM_INFINITY and (
        value == resource.RLIM_INFINITY or value > other
    )


def _check_inherited(policy: int, flags: int) -> None:
    """Refuse what a child wouldn't have: SCHED_DEADLINE can't even fork."""
    if policy == _DEADLINE or flags & _RESET_ON_FORK:
        text = "isn't inherited, as it would be with a user namespace given by path"
        raise OSError(errno.EOPNOTSUPP, text)


def tune(pid: int, tunings: tuple[tuple[Any, ...], ...]) -> None:
    """What is done to a child from outside; 0 is the caller, whose children inherit
    it.

    Raises:
        OSError: it says what couldn't be done.
    """
    for name, *arguments in tunings:
        try:
            if name == "limits":
                raise_limits(pid, *arguments)
            elif name == "scheduler":
                if pid == 0:
                    _check_inherited(*arguments[:2])
                scheduling.set_scheduler(pid, *arguments)
            else:
                scheduling.set_io_priority(pid, *arguments)
        except OSError as error:
            error.strerror = f"{error.strerror} (the {name.replace('_', ' ')})"
            raise
