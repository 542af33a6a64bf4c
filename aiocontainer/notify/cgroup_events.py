"""Events of a cgroup as such: forks refused, frozen, thawed, empty."""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import ClassVar, Literal

from .kernfs import Timer, current_poller
from .records import Event, Paused, PidsMax, Resumed
from .source import (
    FileSource,
    Source,
    cgroup_gone,
    cgroups_below,
    parse_counts,
    read_text,
)

__all__ = ("CgroupEventsSource", "PidsSource", "PidsTreeSource", "pids_source")


class PidsSource(FileSource):
    """``pids.events`` of a v2 cgroup: forks that ``pids.max`` refused. One descriptor.

    Args:
        directory: the cgroup.
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


class PidsTreeSource(Source):
    """Forks refused in a v1 pids cgroup and in all below it. No descriptor.

    v1 counts at the cgroup that forks, not at the one whose limit was met, and tells
    nobody (measured on 6.18: neither EPOLLPRI nor inotify). So this one is looked at:
    at each `check`, and once in ``look_every_s`` while some reader waits.

    Args:
        directory: the cgroup in the pids hierarchy.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({PidsMax})

    def __init__(self, directory: str, *, look_every_s: float = 1.0) -> None:
        super().__init__(directory)
        self._look_every_s = look_every_s
        self._inode = 0
        self._last: dict[str, int] = {}
        self._timer: Timer | None = None

    @property
    def key(self) -> Hashable:
        return (PidsTreeSource, self.path)

    def _watch(self) -> None:
        self._timer = current_poller().call_later(self._look_every_s, self._changed)

    def _open(self) -> None:
        self._inode = os.stat(self.path).st_ino
        self._last = self._count()

    def _count(self) -> dict[str, int]:
        counts: dict[str, int] = {}
        for directory in cgroups_below(self.path):
            try:
                text = read_text(f"{directory}/pids.events")
            except OSError:
                if directory == self.path:
                    raise
                continue  # removed while we looked
            counts[directory] = parse_counts(text).get("max", 0)
        return counts

    def _on_change(self) -> None:
        self._check()
        if self.is_open:
            self._watch()

    def _check(self) -> None:
        if cgroup_gone(self.path, self._inode):
            self._end()
            return
        before, self._last = self._last, self._count()
        for directory, total in self._last.items():
            count = total - before.get(directory, 0)
            if count > 0:
                self._publish(PidsMax(count, total, directory))

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def pids_source(directory: str, version: Literal[1, 2]) -> Source:
    """The source of `PidsMax` records for a cgroup of either version.

    Args:
        directory: the cgroup; on v1 the one in the pids hierarchy.
        version: 1 or 2, whichever has the pids controller.
    """
    return PidsTreeSource(directory) if version == 1 else PidsSource(directory)


class CgroupEventsSource(FileSource):
    """``cgroup.events`` of a v2 cgroup: frozen, thawed, empty. One descriptor.

    On v1 nothing tells of freezing; whoever freezes must publish that.

    Args:
        directory: the cgroup in the v2 hierarchy.
        ends_when_empty: end already when the last process below has gone.
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
