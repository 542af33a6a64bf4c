"""Ends of processes: waiting by pidfd, with the resources used, even if somebody else
was faster."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import select
import signal
import struct
from ctypes import byref, c_int, c_uint, c_void_p
from typing import NamedTuple

from . import constants as c
from .libc import call, syscall
from .procstat import read_stat

_P_PIDFD = 3
_waitid = syscall(c.number("waitid"), c_int, c_uint, c_void_p, c_int, c_void_p)

# struct pidfd_info up to exit_code (include/uapi/linux/pidfd.h, Linux 6.15).
_INFO_SIZE = 64
_PIDFD_GET_INFO = 0xC000FF0B | _INFO_SIZE << 16
_PIDFD_INFO_EXIT = 1 << 3
_EXIT_CODE_OFFSET = 60


class Exit(NamedTuple):
    """How a process ended."""

    status: int | None
    """Exit status, the negative signal number, or None where nobody can tell."""
    user_s: float
    """CPU time in user mode, of it and the children it waited for, in seconds."""
    system_s: float
    """CPU time in the kernel, in seconds."""
    peak_rss_bytes: int
    """Largest resident set of one process among them."""


def reap(pidfd: int) -> Exit | None:
    """Collect the end of a child; None while it runs.

    Where somebody else's ``wait`` took the status (or ``SIGCHLD`` is ignored) the
    kernel is asked by PIDFD_GET_INFO; kernels before 6.15 don't know any more.
    """
    info = ctypes.create_string_buffer(128)
    usage = (ctypes.c_long * 18)()
    options = os.WEXITED | os.WNOHANG
    try:
        call("waitid", _waitid, _P_PIDFD, pidfd, byref(info), options, byref(usage))
    except ChildProcessError:
        return Exit(_status_of_reaped(pidfd), 0.0, 0.0, 0)
    _, _, code, pid, _, status = struct.unpack_from("iii4xiii", info)
    if pid == 0:
        return None
    if code != os.CLD_EXITED:
        status = -status
    user = usage[0] + usage[1] / 1e6
    system = usage[2] + usage[3] / 1e6
    return Exit(status, user, system, usage[4] * 1024)


def end_of(pidfd: int, pid: int) -> Exit | None:
    """The end of a process that needs not be our child; ``None`` while it runs. It is
    not collected: whoever started it does that.

    Of one that its parent hasn't waited for yet, ``/proc`` tells the status; later the
    pidfd does, on kernels from 6.15 on.
    """
    if not has_ended(pidfd):
        return None
    status = _status_of_child(pidfd)
    if status is None:
        status = _status_of_zombie(pid)
    if status is None:
        status = _status_of_reaped(pidfd)
    return Exit(status, 0.0, 0.0, 0)


def _status_of_child(pidfd: int) -> int | None:
    try:
        flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
        found = os.waitid(os.P_PIDFD, pidfd, flags)
    except ChildProcessError:
        return None
    if found is None:
        return None
    exited = found.si_code == os.CLD_EXITED
    return found.si_status if exited else -found.si_status


def _status_of_zombie(pid: int) -> int | None:
    try:
        os.readlink(f"/proc/{pid}/ns/net")
    except FileNotFoundError:
        pass  # it has no namespaces any more, and we may look
    except OSError:
        return None
    stat = read_stat(pid)
    if stat is None or not stat.is_zombie:
        return None
    return os.waitstatus_to_exitcode(stat.exit_code)


def reap_by_pid(pid: int) -> bool:
    """Collect a child of which there is no pidfd; False while it runs."""
    try:
        found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return True
    return found is not None


def is_exiting(pid: int) -> bool:
    """Whether a child of ours, not reaped yet, is on its way out (or a zombie).

    Pid 1 of a pid namespace can stay so for long; its namespaces are gone then.
    """
    stat = read_stat(pid)
    return stat is None or stat.is_over


def _status_of_reaped(pidfd: int) -> int | None:
    data = bytearray(_INFO_SIZE)
    struct.pack_into("Q", data, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, data)
    except OSError:
        return None
    if not struct.unpack_from("Q", data)[0] & _PIDFD_INFO_EXIT:
        return None
    code: int = struct.unpack_from("i", data, _EXIT_CODE_OFFSET)[0]
    return os.waitstatus_to_exitcode(code)


def has_ended(pidfd: int) -> bool:
    """Whether a process has ended (as a zombie or altogether); collects nothing."""
    poll = select.poll()  # select() can't take numbers above 1023
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(0))


def send_signal(pidfd: int, number: int) -> bool:
    """Send a signal; False when the process has ended."""
    try:
        call("pidfd_send_signal", signal.pidfd_send_signal, pidfd, number)
    except OSError as error:
        if error.errno != errno.ESRCH:
            raise
        return False
    return True
