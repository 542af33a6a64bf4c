"""Numbers of system calls, from libseccomp's tables.

Only its names and numbers are used; see ``plan/filters.py`` for why. The library is
loaded on first use, by its plain soname: ``find_library`` would run other programs.
"""

import ctypes
import functools
from ctypes import POINTER, Structure, c_char_p, c_int, c_uint, c_uint32, c_void_p

__all__ = ("name_of", "resolve", "version")

_SONAME = "libseccomp.so.2"
_NR_SCMP_ERROR = -1


_free = ctypes.CDLL(None).free
_free.argtypes = (c_void_p,)
_free.restype = None


class _Version(Structure):
    _fields_ = (("major", c_uint), ("minor", c_uint), ("micro", c_uint))


@functools.cache
def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(_SONAME)
    library.seccomp_syscall_resolve_name_arch.argtypes = (c_uint32, c_char_p)
    library.seccomp_syscall_resolve_name_arch.restype = c_int
    library.seccomp_syscall_resolve_num_arch.argtypes = (c_uint32, c_int)
    library.seccomp_syscall_resolve_num_arch.restype = c_void_p
    library.seccomp_version.argtypes = ()
    library.seccomp_version.restype = POINTER(_Version)
    return library


def resolve(name: str, architecture: int) -> int | None:
    """Number of a call on an ``AUDIT_ARCH_*`` (or libseccomp's token for x32).

    ``None`` if libseccomp doesn't know the name. A negative number is a "pseudo" one:
    the call exists elsewhere, or only as a part of a multiplexer: -101 to -120 are
    socketcall(2)'s, -201 to -224 are ipc(2)'s.

    Raises:
        OSError: libseccomp isn't installed.
    """
    number: int = _library().seccomp_syscall_resolve_name_arch(
        architecture, name.encode("ascii")
    )
    return None if number == _NR_SCMP_ERROR else number


@functools.cache
def name_of(number: int, architecture: int) -> str | None:
    """Name of a call by its number; ``None`` if libseccomp doesn't know it.

    Raises:
        OSError: libseccomp isn't installed.
    """
    found = _library().seccomp_syscall_resolve_num_arch(architecture, number)
    if not found:
        return None
    try:
        return ctypes.string_at(found).decode("ascii")
    finally:
        _free(found)


def version() -> tuple[int, int, int]:
    """The version of libseccomp, as ``(2, 5, 4)``.

    Raises:
        OSError: libseccomp isn't installed.
    """
    found = _library().seccomp_version().contents
    return found.major, found.minor, found.micro
