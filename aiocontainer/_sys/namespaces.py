"""clone3, clone, setns and unshare."""

from __future__ import annotations

import ctypes
import errno
import os
from ctypes import (
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint64,
    c_ulong,
    c_void_p,
    sizeof,
)

from . import constants as c
from . import libc
from .libc import call, syscall


class CloneArgs(Structure):
    """``struct clone_args`` of clone3(2), up to ``cgroup`` (Linux 5.7)."""

    _fields_ = tuple(
        (name, c_uint64)
        for name in (
            "flags",
            "pidfd",
            "child_tid",
            "parent_tid",
            "exit_signal",
            "stack",
            "stack_size",
            "tls",
            "set_tid",
            "set_tid_size",
            "cgroup",
        )
    )


_clone3 = syscall(c.SYS_CLONE3, c_void_p, c_size_t, hold_gil=True)
_clone = syscall(
    c.number("clone"), c_ulong, c_void_p, c_void_p, c_void_p, c_ulong, hold_gil=True
)
_setns = syscall(c.number("setns"), c_int, c_int)
_unshare = syscall(c.number("unshare"), c_ulong)
_sethostname = libc.function("sethostname", c_char_p, c_size_t)
_setdomainname = libc.function("setdomainname", c_char_p, c_size_t)

clone3_refused = False
"""Set where clone3 answers ENOSYS: some seccomp profiles hide it (they can't look into
its argument), and clone(2) does the same but for ``CLONE_INTO_CGROUP``."""


def clone(flags: int, cgroup: int = -1) -> tuple[int, int]:
    """Fork with ``flags`` (``CLONE_PIDFD`` is added): (pid, pidfd), or (0, -1) in the
    child.

    Only for a process of one thread. ``cgroup`` is the descriptor of a cgroup2
    directory that the child is born in; where clone3 is refused that raises ENOSYS.
    With ``CLONE_PARENT`` the exit signal is that of the caller, and must be 0 here.
    """
    exit_signal = 0 if flags & c.CLONE_PARENT else 17
    pidfd = c_int(-1)
    if libc.fault is not None:
        libc.fault("clone3")
    if not clone3_refused:
        args = CloneArgs(flags=flags | c.CLONE_PIDFD, exit_signal=exit_signal)
        args.pidfd = ctypes.addressof(pidfd)
        if cgroup >= 0:
            args.flags |= c.CLONE_INTO_CGROUP
            args.cgroup = cgroup
        pid = _clone3(byref(args), sizeof(args))
    else:
        if cgroup >= 0:
            libc.fail("clone3", errno.ENOSYS)
        # The order of the last arguments differs by architecture; all unused are 0.
        pid = _clone(flags | c.CLONE_PIDFD | exit_signal, None, byref(pidfd), None, 0)
    if pid == -1:
        libc.fail("clone3", ctypes.get_errno())
    # No PyOS_AfterFork_Child in the child: it makes anew the locks that other threads
    # may have held, and there are none. It would take 0.1 ms.
    if pid == 0:
        return 0, -1
    return pid, pidfd.value


def probe_clone3() -> None:
    """Find out whether clone3 is refused, by a call that can't succeed."""
    global clone3_refused
    clone3_refused = _clone3(None, 0) == -1 and ctypes.get_errno() == errno.ENOSYS


def setns(descriptor: int, kinds: int) -> None:
    """Join the namespace(s) of ``descriptor``: a namespace file, or a pidfd and several
    ``CLONE_NEW*`` kinds at once (Linux 5.8)."""
    call("setns", _setns, descriptor, kinds)


def unshare(kinds: int) -> None:
    """Leave the namespaces of ``kinds`` (``CLONE_NEW*``) for new ones."""
    call("unshare", _unshare, kinds)


def open_namespace(path: bytes) -> int:
    """Open a namespace file; never blocks on a FIFO put in its place."""
    found: int = call(
        "open",
        os.open,
        path,
        os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY,
        path=path,
    )
    return found


def set_hostname(name: bytes) -> None:
    """sethostname(2)."""
    call("sethostname", _sethostname, name, len(name))


def set_domainname(name: bytes) -> None:
    """setdomainname(2)."""
    call("setdomainname", _setdomainname, name, len(name))
