"""What a source of events is: something of the kernel's that is watched on demand."""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator
from typing import ClassVar, Final, Protocol

from .._sys.libc import call
from ..errors import CgroupError
from .kernfs import WatchedFile
from .records import Event
from .removal import RemovalWatch

__all__ = (
    "GONE",
    "FileSource",
    "Sink",
    "Source",
    "cgroup_gone",
    "cgroups_below",
    "parse_counts",
    "read_text",
)

GONE: Final = frozenset({errno.ENODEV, errno.ENOENT})
"""What a file answers once its cgroup is removed: held open, or by its path."""


class Sink(Protocol):
    """Where a source reports to. None of these waits or raises."""

    def publish(self, record: Event, source: Source) -> None:
        """Give a record of ``source`` to all who want it."""

    def ended(self, source: Source) -> None:
        """Nothing more will come from ``source``: its cgroup is gone, or empty."""

    def failed(self, source: Source, error: CgroupError) -> None:
        """``source`` can't be read any more; its readers must be told."""


class Source(ABC):
    """One kernel subscription, shared by all streams that want its records.

    Opened for the first of them and closed after the last, perhaps many times. While
    all of them are idle (their readers were cancelled) it is parked: it holds no
    descriptor, but remembers what it has reported, and `check` still works.
    """

    kinds: ClassVar[frozenset[type[Event]]]
    """The kinds of record that it may publish."""

    def __init__(self, path: str) -> None:
        self.path = path
        """The watched directory or file."""
        self._sink: Sink | None = None
        self._parked = False

    @property
    @abstractmethod
    def key(self) -> Hashable:
        """Equal for two sources that watch the same thing in the same way."""

    @property
    def is_open(self) -> bool:
        """Whether the kernel is being watched."""
        return self._sink is not None

    def open(self, sink: Sink) -> None:
        """Begin to watch; what happens from now on is published to ``sink``.

        Raises:
            CgroupError: the kernel refused; the ``OSError`` is the cause.
            UnsupportedFeature: this kernel or user can't.
        """
        self._sink = sink
        self._parked = False
        try:
            self._watch()
            self._open()
        except BaseException as error:
            self.close()
            if isinstance(error, OSError):
                raise CgroupError(self.path, _reason("watch", error)) from error
            raise

    def check(self) -> None:
        """Read the kernel's figures now, and publish what is new. Never waits."""
        if self._sink is not None:
            self._guarded(self._check)

    def close(self) -> None:
        """Stop watching. Does nothing when closed."""
        self._sink = None
        self._unwatch()

    def park(self) -> None:
        """Hold no descriptor until `unpark`."""
        if self._sink is not None and not self._parked:
            self._parked = True
            self._unwatch()

    def unpark(self) -> None:
        """Watch again, and publish what was counted meanwhile."""
        if self._sink is not None and self._parked:
            self._parked = False
            self._guarded(self._resume)

    def _resume(self) -> None:
        self._watch()
        self._on_change()

    @abstractmethod
    def _watch(self) -> None:
        """Have the kernel tell of changes; also called after `_unwatch`."""

    @abstractmethod
    def _open(self) -> None:
        """Note the figures against which is counted what happens from now on."""

    @abstractmethod
    def _check(self) -> None:
        """Publish what is new, watched or not. An ``OSError`` in `GONE` is the end."""

    @abstractmethod
    def _unwatch(self) -> None:
        """Give back what `_watch` took, also if it took only part of it."""

    def _changed(self) -> None:
        """The kernel says that something happened."""
        if self._sink is not None:
            self._guarded(self._on_change)

    def _on_change(self) -> None:
        self._check()

    def _publish(self, record: Event) -> None:
        if self._sink is not None:
            self._sink.publish(record, self)

    def _end(self) -> None:
        sink = self._sink
        self.close()
        if sink is not None:
            sink.ended(self)

    def _guarded(self, work: Callable[[], None]) -> None:
        # Runs in whichever task leads, or in a container's exit path: an error
        # belongs to the readers of this source, not to that task.
        try:
            work()
        except OSError as error:
            if error.errno in GONE:
                self._end()
                return
            sink = self._sink
            self.close()
            if sink is not None:
                failure = CgroupError(self.path, _reason("read", error))
                failure.__cause__ = error
                sink.failed(self, failure)


class FileSource(Source):
    """A source that is one file of a v2 cgroup. One descriptor, none while parked."""

    file: ClassVar[str]
    """Its name in the cgroup's directory."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self._file: WatchedFile | None = None
        self._removal: RemovalWatch | None = None

    def _watch(self) -> None:
        self._file = WatchedFile(f"{self.path}/{self.file}", self._changed)
        self._removal = RemovalWatch(self.path, self._changed)

    def _text(self) -> str:
        """What it says now. Reading is also what acknowledges a change."""
        if self._file is not None:
            return self._file.read()
        return read_text(f"{self.path}/{self.file}")

    def _unwatch(self) -> None:
        if self._removal is not None:
            self._removal.close()
            self._removal = None
        if self._file is not None:
            self._file.close()
            self._file = None


def parse_counts(text: str) -> dict[str, int]:
    """Read a flat keyed file: a name and a number on each line.

    Lines of any other form are left out (``pids.max`` may say ``max``).
    """
    counts: dict[str, int] = {}
    for line in text.splitlines():
        name, _, number = line.partition(" ")
        if number.isdecimal():
            counts[name] = int(number)
    return counts


def read_text(path: str) -> str:
    """The text of a small kernel file.

    Raises:
        OSError: ``FileNotFoundError`` if there is none, ``ENODEV`` if its cgroup was
            removed meanwhile.
    """
    fd: int = call("open", os.open, path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text: bytes = call("read", os.read, fd, 64 * 1024, path=path)
    finally:
        os.close(fd)
    return text.decode("ascii", "replace")


def cgroups_below(directory: str) -> Iterator[str]:
    """The directory itself and all cgroups below it, parents first."""
    yield directory
    try:
        if os.stat(directory).st_nlink <= 2:  # kernfs: 2 + number of directories
            return
        with os.scandir(directory) as entries:
            below = [entry.path for entry in entries if entry.is_dir()]
    except OSError:  # removed meanwhile
        return
    for path in below:
        yield from cgroups_below(path)


def cgroup_gone(directory: str, inode: int) -> bool:
    """Whether a cgroup was removed, even if another now has its name.

    cgroup directories have inode numbers that are never used twice.
    """
    try:
        return os.stat(directory).st_ino != inode
    except OSError:
        return True


def _reason(verb: str, error: OSError) -> str:
    return f"can't {verb} it: {error.strerror}"
