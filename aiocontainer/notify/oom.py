"""Out-of-memory kills, counted by the kernel; here those of cgroup v1.

v1 signals an eventfd registered with ``memory.oom_control``. That only says when to
look; the truth is the ``oom_kill`` count. v1 signals *before* it kills (150 of 171
times the count had not moved yet, for up to 27 ms), ten times as often as it kills,
once for several kills close together, and when a cgroup is removed; and it counts at
the victim's own cgroup only. So after a signal the counts of the cgroup and of all
below it are looked at, and again for half a second, at growing distance.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from typing import ClassVar, Final, Literal

from .hub import EventHub
from .kernfs import EventFd, Timer, current_poller
from .memory_events import Kills, MemoryEventsSource, oom_record
from .records import Event, Oom
from .source import (
    Source,
    cgroup_gone,
    cgroups_below,
    parse_counts,
    read_text,
)
from .stream import EventStream

__all__ = (
    "MemoryEventsSource",
    "OomSource",
    "OomWatch",
    "oom_source",
    "read_oom_kills",
)

_LOOKS_S: Final = (0.001,) * 8 + (0.002,) * 12 + (0.004,) * 16 + (0.016, 0.064, 0.256)
"""When to look again after a signal; each kill found starts this anew."""


def read_oom_kills(directory: str, version: Literal[1, 2]) -> int:
    """Processes of a cgroup that the kernel has killed for lack of memory.

    On v2 those of the cgroups below count too, also of removed ones; on v1 they don't.

    Args:
        directory: the cgroup; on v1 the one in the memory hierarchy.

    Raises:
        OSError: there is no such cgroup, or it has no memory controller.
    """
    if version == 1:
        return _read_v1(directory)
    return parse_counts(read_text(f"{directory}/memory.events")).get("oom_kill", 0)


def _read_v1(directory: str) -> int:
    return parse_counts(read_text(f"{directory}/memory.oom_control")).get("oom_kill", 0)


class OomSource(Source):
    """OOM kills in a v1 memory cgroup and all below it. One descriptor.

    A cgroup made below it later is covered from the next `check` on. If it is removed,
    call `check` before: v1 forgets what a removed cgroup has counted.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Oom})

    def __init__(self, directory: str, *, from_start: bool = False) -> None:
        super().__init__(directory)
        self._from_start = from_start
        self._eventfd: EventFd | None = None
        self._inode = 0
        self._known: dict[str, int] = {}
        self._covered: set[str] = set()
        self._timer: Timer | None = None
        self._looks = 0

    @property
    def key(self) -> Hashable:
        return (OomSource, self.path)

    def _watch(self) -> None:
        self._eventfd = EventFd(self._changed)
        self._covered = set()
        self._cover(self.path)

    def _open(self) -> None:
        self._inode = os.stat(self.path).st_ino
        self._known = self._count()
        if self._from_start:
            self._known = dict.fromkeys(self._known, 0)
            self._timer = current_poller().call_later(0, self._changed)

    def _cover(self, directory: str) -> None:
        # One eventfd can be registered with many cgroups. Registering each is needed
        # for those with a limit of their own: v1 tells a cgroup and all below it.
        if self._eventfd is not None and directory not in self._covered:
            self._eventfd.register(directory, "memory.oom_control")
            self._covered.add(directory)

    def _count(self) -> dict[str, int]:
        """The kills in each cgroup, all of which are covered from now on."""
        counts: dict[str, int] = {}
        for directory in cgroups_below(self.path):
            try:
                self._cover(directory)
                counts[directory] = _read_v1(directory)
            except OSError:
                if directory == self.path:
                    raise
        # A name may be used again for another cgroup, which then is covered anew.
        self._covered &= counts.keys()
        return counts

    def _check(self) -> None:
        if cgroup_gone(self.path, self._inode):
            self._end()
            return
        self._look()

    def _look(self) -> bool:
        """Publish the kills that are new; whether there were any."""
        before, self._known = self._known, self._count()
        found = False
        for directory, total in self._known.items():
            kills = total - before.get(directory, 0)
            if kills > 0:
                found = True
                self._publish(oom_record(self.path, directory, Kills(kills), total))
        return found

    def _resume(self) -> None:
        self._looks = 0  # a signal before a kill may have come unseen
        super()._resume()

    def _on_change(self) -> None:
        if self._eventfd is not None and self._eventfd.take():
            self._looks = 0
        if cgroup_gone(self.path, self._inode):
            self._end()
        else:
            self._look_again()

    def _look_again(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._look():
            self._looks = 0
        if self._looks < len(_LOOKS_S):
            delay_s = _LOOKS_S[self._looks]
            self._looks += 1
            self._timer = current_poller().call_later(delay_s, self._changed)

    def _unwatch(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._eventfd is not None:
            self._eventfd.close()
            self._eventfd = None


def oom_source(
    directory: str, version: Literal[1, 2], *, from_start: bool = False
) -> Source:
    """The source of `Oom` records for a cgroup of either version.

    Args:
        directory: the cgroup; on v1 the one in the memory hierarchy.
        version: 1 or 2, whichever has the memory controller.
        from_start: also report, as one record for each cgroup, the kills before now.
    """
    if version == 1:
        return OomSource(directory, from_start=from_start)
    return MemoryEventsSource(directory, from_start=from_start)


class OomWatch(EventStream[Oom]):
    """Iterates over the OOM kills in one cgroup and those below it.

    Opened at once, so a kill after this line is not missed. Ends when the cgroup is
    removed; call `check` before removing it. Usable with and without ``async with``;
    dropping it closes it too.

    Args:
        directory: the cgroup; on v1 the one in the memory hierarchy.
        version: 1 or 2, whichever has the memory controller.
        from_start: as for `oom_source`.

    Raises:
        CgroupError: it can't be watched.
        RuntimeError: no event loop is running.
    """

    __slots__ = ()

    def __init__(
        self, directory: str, version: Literal[1, 2], *, from_start: bool = False
    ) -> None:
        sources = [oom_source(directory, version, from_start=from_start)]
        hub = EventHub(ends_with_sources=True)
        super().__init__(hub, frozenset({Oom}), sources)
