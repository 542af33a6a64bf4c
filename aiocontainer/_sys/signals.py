"""Signal dispositions that Python's ``signal`` can't reach."""

from __future__ import annotations

from ctypes import c_int, c_size_t, c_void_p, create_string_buffer

from . import constants as c
from .libc import call, syscall

_rt_sigaction = syscall(c.number("rt_sigaction"), c_int, c_void_p, c_void_p, c_size_t)
_INTERNAL = (32, 33)
"""SIGCANCEL and SIGSETXID of the C library, which its own calls won't touch."""


def default_internal() -> None:
    """Undo that posix_spawn(3) of glibc starts programs with its two internal signals
    ignored, which would be passed on by exec."""
    default = create_string_buffer(32)  # struct kernel_sigaction, all zero: SIG_DFL
    for number in _INTERNAL:
        call("rt_sigaction", _rt_sigaction, number, default, None, 8)
