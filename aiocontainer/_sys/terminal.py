"""Pseudoterminals: a pair from one devpts instance, its size, the controlling terminal.

Runs in the helper too, so: standard library and `call` only. The ioctl numbers are
those of ``asm-generic/ioctls.h`` (x86, arm64, riscv, s390); ``termios`` lacks them.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import struct
import termios
from ctypes import c_char_p, c_int, create_string_buffer

from .libc import call, fail, function

TIOCGPTN = 0x80045430
"""Number of the pair, as in ``/dev/pts/<number>``."""
TIOCSPTLCK = 0x40045431
"""Lock (1) or unlock (0) the pair's second side."""
TIOCGPTPEER = 0x5441
"""Open the second side by way of the first, without a path (kernel 4.13)."""

DEVPTS_SUPER_MAGIC = 0x1CD1
PTMX_DEVICE = os.makedev(5, 2)
PTS_MAJORS = range(136, 144)
"""``UNIX98_PTY_SLAVE_MAJOR`` and the seven after it."""

_OFLAG = 1  # index of c_oflag in what tcgetattr answers
_fstatfs = function("fstatfs", c_int, c_char_p)


class Pty:
    """Both ends of a new pseudoterminal; the caller closes them."""

    __slots__ = ("master", "name", "slave")

    def __init__(self, master: int, slave: int, name: str) -> None:
        self.master = master
        self.slave = slave
        self.name = name
        """Path of the slave where devpts is mounted on ``/dev/pts``."""


def open_pty(devpts: int) -> Pty:
    """Open a new pseudoterminal of the devpts instance whose directory is ``devpts``.

    No path is resolved in anything that the container can write to: the directory must
    be a devpts itself, ``ptmx`` is opened in it without following a link, and the slave
    is opened by way of the master (a path could be covered by another mount). Both
    descriptors are close-on-exec and neither becomes the controlling terminal. ONLCR
    is cleared, as runc does: what the program writes arrives unchanged, with no CR put
    before each newline.

    Raises:
        OSError: the kernel refused, or (``ENOTTY``) what was opened isn't a pty.
    """
    _check_devpts(devpts)
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC | os.O_NOFOLLOW
    master = call("openat", _open_at, devpts, flags, path="ptmx")
    try:
        _check_device(master, {PTMX_DEVICE}, "ptmx")
        call("ioctl", fcntl.ioctl, master, TIOCSPTLCK, struct.pack("i", 0))
        answer = call("ioctl", fcntl.ioctl, master, TIOCGPTN, struct.pack("I", 0))
        (number,) = struct.unpack("I", answer)
        slave = open_peer(master)
    except BaseException:
        os.close(master)
        raise
    try:
        clear_onlcr(slave)
    except BaseException:
        os.close(master)
        os.close(slave)
        raise
    return Pty(master, slave, f"/dev/pts/{number}")


def open_peer(master: int) -> int:
    """Open the other side of ``master``; close-on-exec, not made controlling.

    Raises:
        OSError: the kernel refused, or (``ENOTTY``) ``master`` isn't a pty master.
    """
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    slave: int = call("ioctl", fcntl.ioctl, master, TIOCGPTPEER, flags)
    try:
        device = os.fstat(slave)
        if not stat.S_ISCHR(device.st_mode) or (
            os.major(device.st_rdev) not in PTS_MAJORS
        ):
            fail("ioctl", errno.ENOTTY)
    except BaseException:
        os.close(slave)
        raise
    return slave


def set_controlling(slave: int) -> None:
    """Make ``slave`` the controlling terminal of this session.

    To be called by a session leader without one (just after setsid). It is never
    stolen from another session (argument 0).
    """
    call("ioctl", fcntl.ioctl, slave, termios.TIOCSCTTY, 0)


def set_size(terminal: int, rows: int, columns: int) -> None:
    """Set the size in characters; the foreground process group gets SIGWINCH.

    Works on either side of the pair.
    """
    size = struct.pack("HHHH", rows, columns, 0, 0)  # struct winsize, pixels unknown
    call("ioctl", fcntl.ioctl, terminal, termios.TIOCSWINSZ, size)


def get_size(terminal: int) -> tuple[int, int]:
    """Rows and columns."""
    answer = call("ioctl", fcntl.ioctl, terminal, termios.TIOCGWINSZ, bytes(8))
    rows, columns, _, _ = struct.unpack("HHHH", answer)
    return rows, columns


def clear_onlcr(terminal: int) -> None:
    """Stop the line discipline from writing CR NL for each NL of the program."""
    attributes = call("tcgetattr", termios.tcgetattr, terminal)
    attributes[_OFLAG] &= ~termios.ONLCR
    call("tcsetattr", termios.tcsetattr, terminal, termios.TCSANOW, attributes)


def _open_at(directory: int, flags: int) -> int:
    return os.open("ptmx", flags, dir_fd=directory)


def _check_devpts(directory: int) -> None:
    # Asked before anything in it is opened: opening a node that somebody else put
    # there (a FIFO, a tape drive) may hang or act. A devpts holds only its own.
    buffer = create_string_buffer(256)  # struct statfs is 120 bytes; f_type is first
    call("fstatfs", _fstatfs, directory, buffer)
    (kind,) = struct.unpack_from("l", buffer.raw)
    if kind != DEVPTS_SUPER_MAGIC:
        fail("fstatfs", errno.ENOTTY, "devpts")


def _check_device(descriptor: int, devices: set[int], path: str) -> None:
    found = os.fstat(descriptor)
    if not stat.S_ISCHR(found.st_mode) or found.st_rdev not in devices:
        fail("fstat", errno.ENOTTY, path)
