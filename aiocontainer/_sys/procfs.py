"""A proc file system of our own, and the proof that a descriptor is in one."""

from __future__ import annotations

import errno
import os
import struct
from ctypes import c_char_p, c_int, create_string_buffer

from . import constants as c
from . import mounts, paths
from .libc import call, fail, function

PROC_SUPER_MAGIC = 0x9FA0

_STRICT = c.RESOLVE_BENEATH | c.RESOLVE_NO_XDEV | c.RESOLVE_NO_MAGICLINKS
_fstatfs = function("fstatfs", c_int, c_char_p)


def open_private() -> int:
    """The root of a proc file system that nobody else can see or mount on
    (CVE-2025-52881); where that may not be made, the one at ``/proc``.

    The latter is only safe while ``/`` is the host's.
    """
    try:
        return mounts.new_filesystem(b"proc", ())
    except PermissionError:  # in a user namespace, where a part of /proc is covered
        return call("open", os.open, b"/proc", c.O_PATH | c.O_DIRECTORY | c.O_CLOEXEC)  # type: ignore[no-any-return]


def open_file(proc: int, path: bytes) -> int:
    """Open a file below the root of a proc file system for writing: that very file, and
    not what somebody put there."""
    file = paths.open_in_root(proc, path, os.O_WRONLY, _STRICT)
    try:
        _check(file, path)
    except OSError:
        os.close(file)
        raise
    return file


def _check(descriptor: int, path: bytes) -> None:
    buffer = create_string_buffer(256)  # struct statfs is 120 bytes; f_type is first
    call("fstatfs", _fstatfs, descriptor, buffer)
    if struct.unpack_from("l", buffer.raw)[0] != PROC_SUPER_MAGIC:
        fail("fstatfs", errno.ENOTTY, path)
