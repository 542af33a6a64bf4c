"""Events of a cgroup as such: forks refused, frozen, thawed."""

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
    """``cgroup.events`` of a v2 cgroup: frozen and thawed. One descriptor.

    On v1 nothing tells of freezing; whoever freezes must publish that.

    Args:
        directory: the cgroup in the v2 hierarchy.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Paused, Resumed})
    file = "cgroup.events"

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._was_frozen = 0

    @property
    def key(self) -> Hashable:
        return (CgroupEventsSource, self.path)

    def _open(self) -> None:
        self._was_frozen = self._frozen()

    def _frozen(self) -> int:
        return parse_counts(self._text()).get("frozen", 0)

    def _check(self) -> None:
        was_frozen, self._was_frozen = self._was_frozen, self._frozen()
        if self._was_frozen != was_frozen:
            record = Paused if self._was_frozen else Resumed
            self._publish(record(self.path))
