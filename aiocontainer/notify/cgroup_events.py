"""Events of a cgroup as such: forks refused, frozen, thawed, empty."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from .kernfs import WatchedFile
from .records import Event, Paused, PidsMax, Resumed
from .source import Source, parse_counts

__all__ = ("CgroupEventsSource", "PidsSource")


class PidsSource(Source):
    """``pids.events``: forks that ``pids.max`` refused. v1 and v2; one descriptor.

    Args:
        directory: the cgroup; on v1 the one in the pids hierarchy.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({PidsMax})

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._file: WatchedFile | None = None
        self._last = 0

    @property
    def key(self) -> Hashable:
        return (PidsSource, self.path)

    def _open(self) -> None:
        self._file = WatchedFile(f"{self.path}/pids.events", self._changed)
        self._last = self._total()

    def _total(self) -> int:
        assert self._file is not None
        return parse_counts(self._file.read()).get("max", 0)

    def _check(self) -> None:
        total = self._total()
        count, self._last = total - self._last, total
        if count > 0:
            self._publish(PidsMax(count, total, self.path))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


class CgroupEventsSource(Source):
    """``cgroup.events`` of a v2 cgroup: frozen, thawed, empty. One descriptor.

    On v1 nothing tells of freezing; whoever freezes must publish that.

    Args:
        directory: the cgroup in the v2 hierarchy.
        ends_when_empty: end when the last process below has gone. v2 tells nobody
            that a cgroup was removed, and it must be empty before that.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Paused, Resumed})

    def __init__(self, directory: str, *, ends_when_empty: bool = False) -> None:
        super().__init__(directory)
        self._ends_when_empty = ends_when_empty
        self._file: WatchedFile | None = None
        self._last: dict[str, int] = {}

    @property
    def key(self) -> Hashable:
        return (CgroupEventsSource, self.path, self._ends_when_empty)

    def _open(self) -> None:
        self._file = WatchedFile(f"{self.path}/cgroup.events", self._changed)
        self._last = parse_counts(self._file.read())

    def _check(self) -> None:
        self._look()

    def _on_change(self) -> None:
        before = self._last
        self._look()
        # Told of a change that can't be seen: processes came and went meanwhile.
        came_and_went = self._last == before
        emptied = self._last.get("populated") == 0 and (
            came_and_went or before.get("populated") == 1
        )
        if emptied and self._ends_when_empty:
            self._end()

    def _look(self) -> None:
        assert self._file is not None
        before, self._last = self._last, parse_counts(self._file.read())
        frozen = self._last.get("frozen", 0)
        if frozen != before.get("frozen", 0):
            self._publish(Paused(self.path) if frozen else Resumed(self.path))

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
