"""Loading a compiled seccomp filter (seccomp(2))."""

from __future__ import annotations

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
