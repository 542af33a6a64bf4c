"""Filling a new file system from the directory it covers (``tmpcopyup``)."""

from __future__ import annotations

import errno
import os
import stat

from ..._sys import constants as c
from ..._sys.libc import call, fail

_MOST_FILES = 1 << 16
_MOST_BYTES = 1 << 30
_DEEPEST = 64
_DIRECTORY = os.O_RDONLY | c.O_DIRECTORY | c.O_NOFOLLOW


class _Budget:
    """What an image can make us copy is bounded: it would fill the host's memory."""

    __slots__ = ("bytes", "files")

    def __init__(self) -> None:
        self.files = _MOST_FILES
        self.bytes = _MOST_BYTES

    def take(self, files: int, size: int) -> None:
        """Count files and bytes."""
        self.files -= files
        self.bytes -= size
        if self.files < 0 or self.bytes < 0:
            fail("copy_up", errno.EFBIG)


def tree(source: int, target: int) -> None:
    """Copy the files, directories and links of one directory into another, and its own
    owner; nothing special. Holes stay holes.

    Raises:
        OSError: EFBIG for more than 65,536 files or 1 GiB, ELOOP deeper than 64
            directories.
    """
    into = _open(b".", _DIRECTORY, target)
    _give(into, b".", os.fstat(source))
    _copy(_open(b".", _DIRECTORY, source), into, _Budget(), 0)


def layers(sources: list[int], target: int) -> None:
    """Copy directories over each other, the lowest first, as overlayfs shows them:
    what an upper one has hides what a lower one has, or takes it away (a character
    device of number 0:0).

    Raises:
        OSError: as `tree`, for all of them together.
    """
    budget = _Budget()
    for source in sources:
        into = _open(b".", _DIRECTORY, target)
        _copy(_open(b".", _DIRECTORY, source), into, budget, 0, merge=True)


def _copy(
    directory: int, into: int, budget: _Budget, depth: int, *, merge: bool = False
) -> None:
    if depth == _DEEPEST:
        fail("copy_up", errno.ELOOP)
    for name in map(os.fsencode, os.listdir(directory)):
        at = os.stat(name, dir_fd=directory, follow_symlinks=False)
        budget.take(1, 0)
        is_there = merge and _make_room(directory, into, name, at)
        if stat.S_ISDIR(at.st_mode):
            if not is_there:
                call("mkdirat", _make_directory, into, name)
            above = _open(name, _DIRECTORY, directory)
            below = _open(name, _DIRECTORY, into)
            _copy(above, below, budget, depth + 1, merge=merge)
        elif stat.S_ISLNK(at.st_mode):
            call("symlinkat", _copy_link, directory, into, name)
        elif stat.S_ISREG(at.st_mode):
            _copy_file(directory, into, name, budget)
        else:
            continue
        _give(into, name, at)
        if not stat.S_ISLNK(at.st_mode):
            os.chmod(name, at.st_mode & 0o7777, dir_fd=into)
        # Build tools and Python's own cache go by it.
        times = at.st_atime_ns, at.st_mtime_ns
        os.utime(name, ns=times, dir_fd=into, follow_symlinks=False)
    os.close(directory)
    os.close(into)


def _give(into: int, name: bytes, at: os.stat_result) -> None:
    """To its owner; what a user namespace doesn't map becomes its root's."""
    try:
        os.chown(name, at.st_uid, at.st_gid, dir_fd=into, follow_symlinks=False)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _make_room(directory: int, into: int, name: bytes, at: os.stat_result) -> bool:
    """Remove what a lower layer left where this one has something else; True if a
    directory is there already."""
    try:
        found = os.stat(name, dir_fd=into, follow_symlinks=False)
    except FileNotFoundError:
        return False
    both = stat.S_ISDIR(found.st_mode) and stat.S_ISDIR(at.st_mode)
    if both and not _is_opaque(directory, name):
        return True
    _remove(into, name, found)
    return False


def _is_opaque(directory: int, name: bytes) -> bool:
    descriptor = _open(name, _DIRECTORY, directory)
    try:
        return any(
            os.getxattr(descriptor, attribute) == b"y"
            for attribute in os.listxattr(descriptor)
            if attribute in ("user.overlay.opaque", "trusted.overlay.opaque")
        )
    except OSError:  # a file system without attributes
        return False
    finally:
        os.close(descriptor)


def _remove(into: int, name: bytes, at: os.stat_result) -> None:
    """A tree that we made ourselves."""
    if not stat.S_ISDIR(at.st_mode):
        call("unlinkat", lambda: os.unlink(name, dir_fd=into))
        return
    descriptor = _open(name, _DIRECTORY, into)
    for inner in map(os.fsencode, os.listdir(descriptor)):
        found = os.stat(inner, dir_fd=descriptor, follow_symlinks=False)
        _remove(descriptor, inner, found)
    os.close(descriptor)
    call("rmdir", lambda: os.rmdir(name, dir_fd=into))


def _copy_file(directory: int, into: int, name: bytes, budget: _Budget) -> None:
    reading = _open(name, os.O_RDONLY | os.O_NONBLOCK | c.O_NOFOLLOW, directory)
    writing = _open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, into)
    if stat.S_ISREG(os.fstat(reading).st_mode):  # still
        _copy_data(reading, writing, budget)
    os.close(reading)
    os.close(writing)


def _copy_data(reading: int, writing: int, budget: _Budget) -> None:
    size = os.fstat(reading).st_size
    offset = 0
    while offset < size:
        try:
            offset = os.lseek(reading, offset, os.SEEK_DATA)
            end = min(os.lseek(reading, offset, os.SEEK_HOLE), size)
        except OSError:  # ENXIO: the rest is a hole
            break
        os.lseek(writing, offset, os.SEEK_SET)
        while offset < end:
            count = call(
                "sendfile", os.sendfile, writing, reading, offset, end - offset
            )
            if count == 0:
                return  # it was made shorter
            budget.take(0, count)
            offset += count
    call("ftruncate", os.ftruncate, writing, size)


def _open(name: bytes, flags: int, directory: int) -> int:
    found: int = call("openat", _open_at, name, flags | c.O_CLOEXEC, directory)
    return found


def _open_at(name: bytes, flags: int, directory: int) -> int:
    return os.open(name, flags, 0o600, dir_fd=directory)


def _make_directory(directory: int, name: bytes) -> None:
    os.mkdir(name, 0o700, dir_fd=directory)


def _copy_link(directory: int, into: int, name: bytes) -> None:
    os.symlink(os.readlink(name, dir_fd=directory), name, dir_fd=into)
