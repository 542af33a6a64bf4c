"""Events of a cgroup as such: forks refused, frozen, thawed, empty."""

from __future__ import annotations

from collections.abc import Hashable
from typing import ClassVar

from .records import Event, Paused, PidsMax, Resumed
from .source import FileSource, parse_counts

__all__ = ("CgroupEventsSource", "PidsSource")


class PidsSource(FileSource):
    """``pids.events``: forks that ``pids.max`` refused. v1 and v2; one descriptor.

    Args:
        directory: the cgroup; on v1 the one in the pids hierarchy.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({PidsMax})
    file = "pids.events"

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._last = 0

    @property
    def key(self) -> Hashable:
        return (PidsSource, self.path)

    def _open(self) -> None:
        self._last = self._total()

    def _total(self) -> int:
        return parse_counts(self._text()).get("max", 0)

    def _check(self) -> None:
        total = self._total()
        count, self._last = total - self._last, total
        if count > 0:
            self._publish(PidsMax(count, total, self.path))


class CgroupEventsSource(FileSource):
    """``cgroup.events`` of a v2 cgroup: frozen, thawed, empty. One descriptor.

    On v1 nothing tells of freezing; whoever freezes must publish that.

    Args:
        directory: the cgroup in the v2 hierarchy.
        ends_when_empty: end when the last process below has gone. v2 tells nobody
            that a cgroup was removed, and it must be empty before that.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Paused, Resumed})
    file = "cgroup.events"

    def __init__(self, directory: str, *, ends_when_empty: bool = False) -> None:
        super().__init__(directory)
        self._ends_when_empty = ends_when_empty
        self._last: dict[str, int] = {}

    @property
    def key(self) -> Hashable:
        return (CgroupEventsSource, self.path, self._ends_when_empty)

    def _open(self) -> None:
        self._last = parse_counts(self._text())

    def _check(self) -> None:
        self._look()

    def _on_change(self) -> None:
        # Told of a change that can't be seen: processes came and went meanwhile.
        before = self._last
        if self._look() or self._last == before:
            self._end_if_empty()

    def _resume(self) -> None:
        self._watch()
        if self._look():
            self._end_if_empty()

    def _look(self) -> bool:
        """Publish what is new; whether it lost its last process."""
        before, self._last = self._last, parse_counts(self._text())
        frozen = self._last.get("frozen", 0)
        if frozen != before.get("frozen", 0):
            self._publish(Paused(self.path) if frozen else Resumed(self.path))
        return before.get("populated") == 1 and self._last.get("populated") == 0

    def _end_if_empty(self) -> None:
        if self._ends_when_empty and self._last.get("populated") == 0:
            self._end()
