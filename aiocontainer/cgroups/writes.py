"""A limit as the writes that set it: decided by pure functions, done here."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from .._sys.libc import call
from ..errors import CgroupError
from .files import read_optional

__all__ = (
    "Reader",
    "Undo",
    "Write",
    "perform",
    "perform_or_restore",
    "reader_of",
    "restore",
    "unchanged",
    "undo_keyed",
)

Reader: TypeAlias = "Callable[[str], str | None]"
"""The present text of a file of the cgroup, by name; ``None`` where there is none."""

_UNSUPPORTED: Final = frozenset({errno.ENOENT, errno.EOPNOTSUPP, 524})
"""What optional files may answer; 524 is the kernel's own ENOTSUPP, which leaks out
of some of them."""


def unchanged(old: str) -> str:
    """Going back means writing what was read; an empty value needs its newline."""
    return old.strip() or "\n"


def undo_keyed(key: str, default: str) -> Callable[[str], str | None]:
    """Going back, in a file of lines ``key value``, means writing the old line.

    Args:
        key: first word of the line, a device or an interface.
        default: what stands for no line.
    """

    def undo(old: str) -> str:
        for line in old.splitlines():
            if line.split(" ", 1)[0] == key and line.strip() != key:
                return line.strip()
        return f"{key} {default}"

    return undo


@dataclass(frozen=True, slots=True)
class Write:
    """One value for one file of a cgroup."""

    file: str
    value: str
    undo: Callable[[str], str | None] | None = unchanged
    """Makes of the file's old text what is to be written to go back. ``None`` where
    the file can't be read."""
    inverse: tuple[str, str] | None = None
    """The file and value that go back, where it isn't this file."""
    optional: bool = False
    """Whether kernels without this limit are fine."""


def reader_of(directory: str) -> Reader:
    """Reads files of one cgroup."""

    def read(file: str) -> str | None:
        return read_optional(f"{directory}/{file}")

    return read


Pending: TypeAlias = "Mapping[str, Iterable[Write]]"
"""Directory -> the writes there; all in order."""

Undo: TypeAlias = "list[tuple[str, Write]]"
"""Directories and the writes that go back, in the order of the first writes."""


def perform(pending: Pending) -> None:
    """Do the writes in order, up to the first that the kernel refuses.

    Raises:
        CgroupError: naming the file and the value.
    """
    for directory, writes in pending.items():
        with _Files(directory) as files:
            for one in writes:
                files.write(one)


def perform_or_restore(pending: Pending) -> Undo:
    """Do the writes in order; on an error put the old values back.

    They are put back in the opposite order, which the kernel accepts if it accepted
    the first.

    Returns:
        What `restore` takes to put the old values back later.

    Raises:
        CgroupError: naming the file and the value; notes tell what couldn't be put
            back.
    """
    back: Undo = []
    try:
        for directory, writes in pending.items():
            with _Files(directory) as files:
                for one in writes:
                    inverse = _inverse(directory, one)
                    files.write(one)
                    if inverse is not None:
                        back.append((directory, inverse))
    except BaseException as error:
        restore(back, error)
        raise
    return back


def restore(back: Undo, error: BaseException) -> None:
    """Put old values back because of ``error``, which is told what couldn't be."""
    for directory, inverse in reversed(back):
        try:
            perform({directory: (inverse,)})
        except CgroupError as second:
            error.add_note(f"and could not put back: {second}")


def _inverse(directory: str, one: Write) -> Write | None:
    if one.inverse is not None:
        return Write(*one.inverse, undo=None)
    if one.undo is None:
        return None
    old = read_optional(f"{directory}/{one.file}")
    value = None if old is None else one.undo(old)
    return None if value is None else Write(one.file, value)


class _Files:
    """Writes to files of one directory, keeping the last one open: lists of device
    rules are many writes to the same file."""

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._name = ""
        self._fd = -1

    def __enter__(self) -> _Files:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, one: Write) -> None:
        path = f"{self._directory}/{one.file}"
        try:
            if one.file != self._name:
                self._close()
                flags = os.O_WRONLY | os.O_CLOEXEC
                self._fd = call("open", os.open, path, flags)
                self._name = one.file
            call("write", os.write, self._fd, one.value.encode(), path=path)
        except OSError as error:
            if one.optional and error.errno in _UNSUPPORTED:
                return
            value = one.value.strip()
            reason = f"the kernel refused {value!r}: {os.strerror(error.errno or 0)}"
            raise CgroupError(path, reason) from error

    def _close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
        self._fd, self._name = -1, ""
