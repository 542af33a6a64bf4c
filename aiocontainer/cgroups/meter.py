"""Samples: the files of one cgroup, read together now and parsed when asked.

Reading is what costs the time that nobody can give back, so a sample is the bytes that
the kernel's files had at one moment; each part is parsed when it is first looked at.

A meter samples again and again. It takes over from an earlier sample what changes only
by being set (limits, cpusets), and may keep the other files open: pread(2) at offset 0
has the kernel write the file anew, for a fifth of what open, read and close take.
"""

from __future__ import annotations

import errno
import os
import resource
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeAlias

from .._sys import libc

__all__ = ("Folder", "Measured", "Meter", "Part", "Reading", "Texts", "kept_limit")

Texts: TypeAlias = "Mapping[str, bytes]"
"""File name -> what it said. Those that the kernel doesn't have are not there. No two
hierarchies have a file of the same name among those that are read."""

_CHUNK: Final = 16_384
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_FRESH_EVERY: Final = 64
"""Samples after which what changes only by being set is read anew: somebody else may
have set it."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Files of one directory."""

    directory: str
    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    """Those that not every kernel has, or that may be switched off."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a sample, as ``memory``: what it is read from, and its parser."""

    folders: tuple[Folder, ...]
    parse: Callable[[Reading], Any]
    steady: frozenset[str] = frozenset()
    """Names of files that change only by being set."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What the files said at one moment."""

    version: int
    parts: Mapping[str, Part]
    """What can be parsed from it, by the name of the sample's field."""
    texts: Texts
    other_kills: int = 0
    """Kills for want of memory that ``texts`` doesn't have."""
    more: dict[str, bytes] = field(default_factory=dict)
    """What others than the cgroup's meter have added."""


class Measured(Protocol):
    """What a meter has to know of a cgroup."""

    @property
    def limits_set(self) -> int:
        """How often limits have been set."""

    def parts(self) -> Mapping[str, Part]:
        """What its samples are made of; may be more once a limit has been set."""

    def settled(self, texts: Texts) -> Collection[str]:
        """Names of more files that can't change, going by what the others say."""

    def other_kills(self) -> int:
        """See `Reading.other_kills`."""

    def follow_up(self, texts: Texts) -> Sequence[Folder]:
        """What else has to be read, going by what was."""


class Meter:
    """Samples one cgroup. Not for use by several threads at once.

    Holds no descriptor unless it `keeps` its files open.
    """

    def __init__(self, version: int, cgroup: Measured, *, keeps: bool = False) -> None:
        """Touch nothing yet.

        Args:
            version: of the hierarchy.
            cgroup: whose samples are wanted.
            keeps: keep the files open, as far as `kept_limit` permits.
        """
        self._version = version
        self._parts: Mapping[str, Part] = {}
        self._parts_of = -1
        self._cgroup = cgroup
        self._keeps = keeps
        self._missing: set[tuple[str, str]] = set()
        self._steady_texts: dict[str, bytes] = {}
        self._again: list[tuple[str, tuple[str, ...], frozenset[str]]] = []
        self._kept: list[tuple[str, int]] = []
        self._left = 0
        self._limits_set = -1

    def read(self) -> Reading:
        """A sample of everything, now.

        Raises:
            OSError: a file can't be read; ``ENOENT`` or ``ENODEV``: the cgroup is gone.
        """
        texts: dict[str, bytes] = {}
        if self._parts_of != self._cgroup.limits_set:
            self._parts_of = self._cgroup.limits_set
            self._parts = self._cgroup.parts()
        for part in self._parts.values():
            for folder in part.folders:
                self._read_folder(folder, texts)
        for folder in self._cgroup.follow_up(texts):
            self._read_folder(folder, texts)
        return self._reading(texts)

    def read_again(self) -> Reading:
        """A sample that takes over from the one before what hasn't been set since.

        Raises:
            OSError: as `read`.
        """
        if self._left <= 0 or self._limits_set != self._cgroup.limits_set:
            return self._read_anew()
        self._left -= 1
        texts = self._steady_texts.copy()
        for name, fd in self._kept:
            try:
                texts[name] = _content(os.pread(fd, _CHUNK, 0), fd)
            except OSError as error:
                if error.errno != errno.EOPNOTSUPP:  # pressure that is switched off
                    raise
        for directory, names, optional in self._again:
            _read_files(directory, names, optional, texts)
        return self._reading(texts)

    def _reading(self, texts: dict[str, bytes]) -> Reading:
        kills = self._cgroup.other_kills()
        return Reading(self._version, self._parts, texts, kills)

    def _read_anew(self) -> Reading:
        limits_set = self._cgroup.limits_set
        reading = self.read()
        texts = reading.texts
        steady = {name for part in self._parts.values() for name in part.steady}
        steady.update(self._cgroup.settled(texts))
        before = self._steady_texts.keys()
        self._steady_texts = {n: text for n, text in texts.items() if n in steady}
        if self._limits_set != limits_set or before != self._steady_texts.keys():
            self.release()
            self._choose_files(texts, steady)
        self._limits_set = limits_set
        self._left = _FRESH_EVERY
        return reading

    def _choose_files(self, texts: Texts, steady: Collection[str]) -> None:
        """Settle which files are read each time: those that were there."""
        self._again = []
        folders = [f for part in self._parts.values() for f in part.folders]
        for folder in [*folders, *self._cgroup.follow_up(texts)]:
            wanted = (*folder.required, *folder.optional)
            names = tuple(n for n in wanted if n in texts and n not in steady)
            if names:
                optional = frozenset(folder.optional)
                self._again.append((folder.directory, names, optional))
        if self._keeps:
            self._keep()

    def _keep(self) -> None:
        """Open all of them, or none: a program needs descriptors for other things."""
        files = [(d, name) for d, names, _ in self._again for name in names]
        if not _reserve(len(files)):
            return
        try:
            for directory, name in files:
                fd = libc.call("open", os.open, f"{directory}/{name}", _READ)
                self._kept.append((name, fd))
        except OSError:
            _close(self._kept)
            _reserve(-len(files))
        else:
            self._again = []

    def _read_folder(self, folder: Folder, texts: dict[str, bytes]) -> None:
        directory = folder.directory
        optional = tuple(
            name for name in folder.optional if (directory, name) not in self._missing
        )
        names = (*folder.required, *optional)
        if not _read_files(directory, names, frozenset(optional), texts):
            absent = [name for name in optional if name not in texts]
            if os.path.isdir(directory):  # else they aren't missing, but gone
                self._missing.update((directory, name) for name in absent)

    def release(self) -> None:
        """Close what is kept open; the next sample opens it again."""
        if self._kept:
            _reserve(-len(self._kept))
            _close(self._kept)
        self._limits_set = -1
        self._left = 0

    def __del__(self) -> None:
        self.release()


_kept = 0
_counting = threading.Lock()  # programs have loops in several threads


def _reserve(count: int) -> bool:
    """Take, or give back, the right to keep some descriptors open."""
    global _kept
    with _counting:
        if count > 0 and _kept + count > kept_limit():
            return False
        _kept += count
        return True


def kept_limit() -> int:
    """How many descriptors all meters of this program may keep open: a quarter of what
    it may have."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(soft, 1 << 20) // 4 if soft >= 0 else 1 << 18


def _close(kept: list[tuple[str, int]]) -> None:
    for _, fd in kept:
        os.close(fd)
    kept.clear()


def _read_files(
    directory: str,
    names: tuple[str, ...],
    optional: Collection[str],
    texts: dict[str, bytes],
) -> bool:
    """Read some files; whether all of them were there."""
    complete = True
    fault = libc.fault
    open_, read, close = os.open, os.read, os.close
    try:
        # Finding a file by its whole path costs a quarter of what reading it does.
        above = open_(directory, _READ | os.O_DIRECTORY) if len(names) > 2 else None
        prefix = f"{directory}/" if above is None else ""
        try:
            for name in names:
                # A sample is some 40 of these, so the door to the kernel is entered
                # only where a test stands in it.
                if fault is not None:
                    fault("open")
                try:
                    fd = open_(prefix + name, _READ, dir_fd=above)
                except FileNotFoundError:
                    if name not in optional:
                        raise
                    complete = False
                    continue
                try:
                    texts[name] = _content(read(fd, _CHUNK), fd)
                except OSError as error:
                    # Pressure that is switched off (psi=0, cgroup.pressure).
                    if error.errno != errno.EOPNOTSUPP or name not in optional:
                        raise
                finally:
                    close(fd)
        finally:
            if above is not None:
                close(above)
    except OSError as error:
        if isinstance(error.filename, str) and not error.filename.startswith("/"):
            error.filename = f"{directory}/{error.filename}"
        raise
    return complete


def _content(data: bytes, fd: int) -> bytes:
    """What one read gave, which is all of it but for very long files."""
    if len(data) < _CHUNK:
        return data
    parts = [data]
    while part := os.pread(fd, _CHUNK, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)
