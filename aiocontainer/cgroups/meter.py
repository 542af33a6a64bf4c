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
from array import array
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Protocol, TypeAlias

from .._sys import libc

__all__ = ("Folder", "Measured", "Meter", "Part", "Reading", "Texts", "may_keep")

Texts: TypeAlias = "Mapping[str, bytes]"
"""File name -> what it said. Those that the kernel doesn't have are not there. No two
hierarchies have a file of the same name among those that are read."""

_CHUNK: Final = 16_384
_READ: Final = os.O_RDONLY | os.O_CLOEXEC
_MAY_COME_BACK: Final = ".pressure"
"""What is hidden and shown by ``cgroup.pressure``."""
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


class Reading:
    """What the files said at one moment. Not changed once it was handed out."""

    __slots__ = (
        "_names",
        "_steady",
        "_texts",
        "_values",
        "more",
        "other_kills",
        "parts",
        "version",
    )

    def __init__(
        self,
        version: int,
        parts: Mapping[str, Part],
        names: tuple[str, ...],
        values: Sequence[bytes | None],
        steady: Texts = MappingProxyType({}),
        other_kills: int = 0,
    ) -> None:
        """Keep what was read.

        Args:
            version: of the hierarchy.
            parts: what can be parsed from it, by the name of the sample's field.
            names: of files.
            values: what they said, in the same order; ``None`` for those that the
                kernel doesn't have.
            steady: what other files said earlier.
            other_kills: kills for want of memory that no file has.
        """
        self.version = version
        self.parts = parts
        self.other_kills = other_kills
        self.more: Mapping[str, bytes] = {}
        """What others than the cgroup's meter have added."""
        self._names = names
        self._values = values
        self._steady = steady
        self._texts: Texts | None = None

    @property
    def texts(self) -> Texts:
        """All of it by name."""
        if self._texts is None:
            read = zip(self._names, self._values, strict=True)
            found = {name: text for name, text in read if text is not None}
            self._texts = {**self._steady, **found}
        return self._texts


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

    def __init__(
        self,
        version: int,
        cgroup: Measured,
        *,
        only: Collection[str] | None = None,
        keeps: bool = False,
    ) -> None:
        """Touch nothing yet.

        Args:
            version: of the hierarchy.
            cgroup: whose samples are wanted.
            only: the parts that are wanted; ``None`` is all of them.
            keeps: keep the files open, as long as `may_keep` permits.
        """
        self._version = version
        self._parts: Mapping[str, Part] = {}
        self._parts_of = -1
        self._cgroup = cgroup
        self._only = only
        self._keeps = keeps
        self._missing: set[tuple[str, str]] = set()
        self._steady: dict[str, bytes] = {}
        self._again: list[tuple[str, tuple[str, ...], frozenset[str]]] = []
        self._names: tuple[str, ...] = ()
        self._kept = array("i")
        self._left = 0
        self._limits_set = -1

    def read(self) -> Reading:
        """A sample of everything, now.

        Raises:
            OSError: a file can't be read; ``ENOENT`` or ``ENODEV``: the cgroup is gone.
        """
        texts = self._read_all()
        kills = self._other_kills()
        names, values = tuple(texts), list(texts.values())
        return Reading(self._version, self._parts, names, values, other_kills=kills)

    def _read_all(self) -> dict[str, bytes]:
        texts: dict[str, bytes] = {}
        if self._parts_of != self._cgroup.limits_set:
            self._parts_of = self._cgroup.limits_set
            parts, only = self._cgroup.parts(), self._only
            wanted = parts if only is None else [name for name in parts if name in only]
            self._parts = {name: parts[name] for name in wanted}
        for part in self._parts.values():
            for folder in part.folders:
                self._read_folder(folder, texts)
        for folder in self._cgroup.follow_up(texts):
            self._read_folder(folder, texts)
        return texts

    def read_again(self) -> Reading:
        """A sample that takes over from the one before what hasn't been set since.

        Raises:
            OSError: as `read`.
        """
        if self._left <= 0 or self._limits_set != self._cgroup.limits_set:
            return self._read_anew()
        self._left -= 1
        values: list[bytes | None]
        if self._kept:
            try:
                values = [_read_kept(fd) for fd in self._kept]
            except OSError as error:
                if error.errno != errno.ENODEV:
                    raise
                # The cgroup is gone, or only a file: ``cgroup.pressure`` hides some.
                self.release()
                return self._read_anew()
        else:
            texts: dict[str, bytes] = {}
            for directory, names, optional in self._again:
                _read_files(directory, names, optional, texts)
            values = [texts.get(name) for name in self._names]
        kills = self._other_kills()
        return Reading(
            self._version, self._parts, self._names, values, self._steady, kills
        )

    def _read_anew(self) -> Reading:
        limits_set = self._cgroup.limits_set
        texts = self._read_all()
        steady = {name for part in self._parts.values() for name in part.steady}
        steady.update(self._cgroup.settled(texts))
        before = self._steady.keys()
        self._steady = {name: text for name, text in texts.items() if name in steady}
        if self._limits_set != limits_set or before != self._steady.keys():
            self.release()
            self._choose_files(texts, steady)
        self._limits_set = limits_set
        self._left = _FRESH_EVERY
        kills = self._other_kills()
        names, values = tuple(texts), list(texts.values())
        return Reading(self._version, self._parts, names, values, other_kills=kills)

    def _other_kills(self) -> int:
        return self._cgroup.other_kills() if "memory" in self._parts else 0

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
        names = tuple(name for _, names, _ in self._again for name in names)
        self._names = _shared_names.setdefault(names, names)
        if self._keeps:
            self._keep()

    def _keep(self) -> None:
        """Open all of them, or none."""
        try:
            for directory, names, _ in self._again:
                for name in names:
                    path = f"{directory}/{name}"
                    self._kept.append(libc.call("open", os.open, path, _READ))
            if all(map(may_keep, self._kept[-1:])):
                return
        except OSError:
            pass  # it is opened each time, then, and whoever reads is told why
        self._close_kept()

    def _read_folder(self, folder: Folder, texts: dict[str, bytes]) -> None:
        directory = folder.directory
        optional = tuple(
            name for name in folder.optional if (directory, name) not in self._missing
        )
        names = (*folder.required, *optional)
        if not _read_files(directory, names, frozenset(optional), texts):
            absent = [
                name
                for name in optional
                if name not in texts and not name.endswith(_MAY_COME_BACK)
            ]
            if os.path.isdir(directory):  # else they aren't missing, but gone
                self._missing.update((directory, name) for name in absent)

    def release(self) -> None:
        """Close what is kept open; the next sample opens it again."""
        self._close_kept()
        self._limits_set = -1
        self._left = 0

    def _close_kept(self) -> None:
        while self._kept:
            os.close(self._kept.pop())

    def __del__(self) -> None:
        self._close_kept()


_shared_names: dict[tuple[str, ...], tuple[str, ...]] = {}
"""One tuple of names for all meters of the same kind."""


def _read_kept(fd: int) -> bytes | None:
    try:
        data = os.pread(fd, _CHUNK, 0)
    except OSError as error:
        if error.errno != errno.EOPNOTSUPP:  # pressure that is switched off
            raise
        return None
    return data if len(data) < _CHUNK else _content(data, fd)


def may_keep(fd: int) -> bool:
    """Whether a descriptor may be kept only because that is quicker.

    Half of what the program may have is left to others. The kernel gives the lowest
    number that is free, so the number tells how many are in use.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft == resource.RLIM_INFINITY or fd < soft // 2


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
                    data = read(fd, _CHUNK)
                    texts[name] = data if len(data) < _CHUNK else _content(data, fd)
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
    """All of a very long file, of which one read gave ``data``."""
    parts = [data]
    while part := os.pread(fd, _CHUNK, sum(map(len, parts))):
        parts.append(part)
    return b"".join(parts)
