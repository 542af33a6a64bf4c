"""A limit as the writes that set it: decided by pure functions, done here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

from ..errors import CgroupError
from .files import read_optional, write

__all__ = ("Reader", "Write", "perform", "perform_or_restore", "reader_of", "unchanged")

Reader: TypeAlias = "Callable[[str], str | None]"
"""The present text of a file of the cgroup, by name; ``None`` where there is none."""


def unchanged(old: str) -> str:
    """Going back means writing what was read."""
    return old.strip()


@dataclass(frozen=True, slots=True)
class Write:
    """One value for one file of a cgroup."""

    file: str
    value: str
    undo: Callable[[str], str | None] = unchanged
    """Makes of the file's old text what is to be written to go back; ``None`` where
    there is no way back."""
    optional: bool = False
    """Whether kernels without the file are fine."""


def reader_of(directory: str) -> Reader:
    """Reads files of one cgroup."""

    def read(file: str) -> str | None:
        return read_optional(f"{directory}/{file}")

    return read


def perform(directory: str, writes: Iterable[Write]) -> None:
    """Do the writes in order, up to the first that the kernel refuses.

    Raises:
        CgroupError: naming the file and the value.
    """
    for one in writes:
        _perform(directory, one)


def perform_or_restore(pending: Iterable[tuple[str, Write]]) -> None:
    """Do writes, each in its directory; on an error put the old values back.

    They are put back in the opposite order, which the kernel accepts if it accepted
    the first.

    Raises:
        CgroupError: naming the file and the value; notes tell what couldn't be put
            back.
    """
    done: list[tuple[str, Write]] = []
    try:
        for directory, one in pending:
            old = read_optional(f"{directory}/{one.file}")
            _perform(directory, one)
            back = None if old is None else one.undo(old)
            if back is not None:
                done.append((directory, Write(one.file, back)))
    except BaseException as error:
        for directory, back_write in reversed(done):
            try:
                _perform(directory, back_write)
            except CgroupError as second:
                error.add_note(f"and could not put back: {second}")
        raise


def _perform(directory: str, one: Write) -> None:
    path = f"{directory}/{one.file}"
    try:
        write(path, one.value)
    except OSError as error:
        if isinstance(error, FileNotFoundError) and one.optional:
            return
        reason = f"kernel refused {one.value!r}: {os.strerror(error.errno or 0)}"
        raise CgroupError(path, reason) from error
