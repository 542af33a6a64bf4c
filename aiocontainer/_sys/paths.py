"""Reaching and making files below a root directory that is not to be trusted.

Every lookup is openat2(2) with ``RESOLVE_IN_ROOT``: symbolic links of the container
stay inside it, ``..`` can't leave it, and magic links (``/proc/*/fd``) are refused.
What is created is created by name in an already opened parent, never following.
"""

from __future__ import annotations

import errno
import os
import struct
from ctypes import c_char_p, c_int, c_size_t

from .constants import (
    O_CLOEXEC,
    O_DIRECTORY,
    O_NOFOLLOW,
    O_PATH,
    RESOLVE_IN_ROOT,
    RESOLVE_NO_MAGICLINKS,
    SYS_OPENAT2,
)
from .libc import attempt, call, fail, syscall

_openat2 = syscall(SYS_OPENAT2, c_int, c_char_p, c_char_p, c_size_t)
# struct open_how (flags, mode, resolve). Packed and not a ctypes Structure: to make one
# takes ten times as long in a freshly forked process.
_how = struct.Struct("QQQ").pack
_HOW_BYTES = 24
IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS
_ATTEMPTS = 128


def try_open_in_root(
    root: int, path: bytes, flags: int = O_PATH, resolve: int = IN_ROOT
) -> int:
    """Open ``path`` as a process whose root directory is ``root`` would see it; the
    negative errno where that can't be."""
    how = _how(flags | O_CLOEXEC, 0, resolve)
    for _ in range(_ATTEMPTS):
        found = attempt("openat2", _openat2, root, path, how, _HOW_BYTES)
        # A component was renamed during the walk, or a signal came.
        if found not in (-errno.EAGAIN, -errno.EINTR):
            break
    return found


def open_in_root(
    root: int, path: bytes, flags: int = O_PATH, resolve: int = IN_ROOT
) -> int:
    """`try_open_in_root`, raising ``OSError``."""
    found = try_open_in_root(root, path, flags, resolve)
    return found if found >= 0 else fail("openat2", -found, path)


def ensure_directory(root: int, path: bytes, mode: int = 0o755) -> int:
    """Open a directory below ``root``, making what is missing; ``O_PATH``."""
    found = try_open_in_root(root, path, O_PATH | O_DIRECTORY)
    if found >= 0:
        return found
    if found != -errno.ENOENT:
        fail("openat2", -found, path)
    parent, name = ensure_parent(root, path)
    try:
        make_directory(parent, name, mode)
        return open_child(parent, name, O_PATH | O_DIRECTORY)
    finally:
        os.close(parent)


def ensure_file(root: int, path: bytes) -> int:
    """Open a file of any kind below ``root``, making an empty one if it is missing."""
    found = try_open_in_root(root, path)
    if found >= 0:
        return found
    if found != -errno.ENOENT:
        fail("openat2", -found, path)
    parent, name = ensure_parent(root, path)
    try:
        make_file(parent, name)
        return open_child(parent, name, O_PATH)
    finally:
        os.close(parent)


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


def make_file(parent: int, name: bytes) -> None:
    """Make one empty file, where there is nothing."""
    flags = os.O_CREAT | os.O_EXCL | O_NOFOLLOW | O_CLOEXEC | os.O_WRONLY
    os.close(
        call("openat", lambda: os.open(name, flags, 0o644, dir_fd=parent), path=name)
    )


def ensure_parent(root: int, path: bytes) -> tuple[int, bytes]:
    """Open the directory that is to hold ``path`` (made if missing), and the name."""
    directory, _, name = path.rstrip(b"/").rpartition(b"/")
    if name in (b"", b".", b".."):
        fail("openat2", errno.EINVAL, path)
    if directory.strip(b"/"):
        return ensure_directory(root, directory), name
    return open_in_root(root, b"/", O_PATH | O_DIRECTORY), name
