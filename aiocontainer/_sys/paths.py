"""Reaching and making files below a root directory that is not to be trusted.

Every lookup is openat2(2) with ``RESOLVE_IN_ROOT``: symbolic links of the container
stay inside it, ``..`` can't leave it, and magic links (``/proc/*/fd``) are refused.
What is created is created by name in an already opened parent, never following.
"""

from __future__ import annotations

import errno
import os
from ctypes import (
    Structure,
    byref,
    c_char_p,
    c_int,
    c_size_t,
    c_uint64,
    c_void_p,
    sizeof,
)

from .constants import (
    O_CLOEXEC,
    O_DIRECTORY,
    O_NOFOLLOW,
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    SYS_OPENAT2,
)
from .libc import call, retry_interrupted, syscall


class OpenHow(Structure):
    """``struct open_how`` of openat2(2)."""

    _fields_ = (("flags", c_uint64), ("mode", c_uint64), ("resolve", c_uint64))


_openat2 = syscall(SYS_OPENAT2, c_int, c_char_p, c_void_p, c_size_t)
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS


def open_in_root(
    root: int, path: bytes, flags: int = O_PATH, resolve: int = IN_ROOT
) -> int:
    """Open ``path`` as a process whose root directory is ``root`` would see it."""
    how = OpenHow(flags | O_CLOEXEC, 0, resolve)
    return retry_interrupted(
        lambda: call(
            "openat2", _openat2, root, path, byref(how), sizeof(how), path=path
        )
    )


def ensure_directory(root: int, path: bytes, mode: int = 0o755) -> int:
    """Open a directory below ``root``, making what is missing; ``O_PATH``."""
    try:
        return open_in_root(root, path, O_PATH | O_DIRECTORY)
    except FileNotFoundError:
        pass
    parent, name = _open_parent(root, path)
    try:
        make_directory(parent, name, mode)
        return open_child(parent, name, O_PATH | O_DIRECTORY)
    finally:
        os.close(parent)


def ensure_file(root: int, path: bytes) -> int:
    """Open a file of any kind below ``root``, making an empty one if it is missing."""
    try:
        return open_in_root(root, path, O_PATH)
    except FileNotFoundError:
        pass
    parent, name = _open_parent(root, path)
    try:
        flags = os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC | os.O_WRONLY
        os.close(
            call(
                "openat", lambda: os.open(name, flags, 0o644, dir_fd=parent), path=path
            )
        )
        return open_child(parent, name, O_PATH)
    finally:
        os.close(parent)


def ensure_parent(root: int, path: bytes) -> tuple[int, bytes]:
    """Open the directory that is to hold ``path`` (made if missing), and the name."""
    return _open_parent(root, path)


def open_child(parent: int, name: bytes, flags: int) -> int:
    """Open one name in a directory, never through a symbolic link."""
    found: int = call(
        "openat",
        lambda: os.open(name, flags | O_NOFOLLOW | O_CLOEXEC, dir_fd=parent),
        path=name,
    )
    return found


def make_directory(parent: int, name: bytes, mode: int) -> None:
    """Make one directory; one that is there already is fine."""
    try:
        call("mkdirat", lambda: os.mkdir(name, mode, dir_fd=parent), path=name)
    except FileExistsError:
        pass


def _open_parent(root: int, path: bytes) -> tuple[int, bytes]:
    directory, _, name = path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b".."):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), path)
    if directory.strip(b"/"):
        return ensure_directory(root, directory), name
    return open_in_root(root, b"/", O_PATH | O_DIRECTORY), name
