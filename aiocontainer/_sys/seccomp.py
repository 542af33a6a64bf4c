"""Loading a compiled seccomp filter, and what a listener can wait for (seccomp(2))."""

from __future__ import annotations

import fcntl
import struct
from ctypes import Structure, byref, c_char_p, c_uint, c_ushort, c_void_p

from . import constants as c
from .libc import call, syscall


class _SockFprog(Structure):
    # The filter is a pointer to struct sock_filter; bytes are passed as they lie.
    _fields_ = (("len", c_ushort), ("filter", c_char_p))


_seccomp = syscall(c.number("seccomp"), c_uint, c_uint, c_void_p)


class Filter:
    """A BPF program in memory, ready to be loaded with nothing but one system call."""

    __slots__ = ("_flags", "_program")

    def __init__(self, bpf: bytes, flags: int = 0) -> None:
        self._program = _SockFprog(len(bpf) // 8, bpf)
        self._flags = flags

    def load(self) -> int:
        """Put the filter in force. After this only what it allows can be called.

        Without no_new_privs it needs ``CAP_SYS_ADMIN``.
        """
        answer: int = call(
            "seccomp",
            _seccomp,
            c.SECCOMP_SET_MODE_FILTER,
            self._flags,
            byref(self._program),
        )
        return answer


# _IOW('!', 3, 24), of include/uapi/linux/seccomp.h.
_ADDFD = 0x4018_2103
_ADDFD_SETFD = 1 << 0
_ADDFD_SEND = 1 << 1
_O_CLOEXEC = 0o2000000
_addition = struct.Struct("=QIIII").pack


def add_descriptor(
    listener: int,
    notification: int,
    descriptor: int,
    number: int,
    close_on_exec: bool,
    answer: bool,
) -> int:
    """Put a duplicate of ours into the table of a caller that waits; its number there.

    Waits until that thread has run to take it: it may be out of CPU time.

    Args:
        listener: the listener of its filter.
        notification: the id of its call.
        descriptor: ours.
        number: the number that it is to have there; -1 is the lowest free one.
        close_on_exec: whether the program's exec closes it.
        answer: make the call return the number too, both at once (Linux 5.14).
    """
    flags = (_ADDFD_SEND if answer else 0) | (_ADDFD_SETFD if number >= 0 else 0)
    cloexec = _O_CLOEXEC if close_on_exec else 0
    fields = (notification, flags, descriptor, max(number, 0), cloexec)
    addition = bytearray(_addition(*fields))  # else ioctl() answers with the bytes
    made: int = call("ioctl", fcntl.ioctl, listener, _ADDFD, addition)
    return made
