"""``memory.events`` of cgroup v2: OOM kills, ``memory.high`` and ``memory.max``.

v2 changes the file after the kill, and counts it in every cgroup above the victim's
too. It tells of a change at once, but of the next one not within 10 ms.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import ClassVar, Final

import anyio

from .kernfs import Timer, current_poller
from .records import Event, MemoryHigh, MemoryMax, Oom
from .source import FileSource, cgroups_below, parse_counts, read_text

__all__ = ("Kills", "MemoryEventsSource", "merge_group_kills", "oom_record")

_LOOKS_S: Final = (0.001, 0.002, 0.004)
"""When to look for a kill after the limit was met."""
_CALM_S: Final = 0.1
"""Not for a limit that is met all the time: page cache is reclaimed at it for ever."""
_GROUP_QUIET_S: Final = 0.005
"""A group kill is over when the count has stood still for this long."""


@dataclass(frozen=True, slots=True)
class Kills:
    """What the kernel has counted for one cgroup, without those below it."""

    kills: int
    group_kills: int = 0


def _read_local_v2(directory: str) -> Kills:
    counts = parse_counts(read_text(f"{directory}/memory.events.local"))
    return Kills(counts.get("oom_kill", 0), counts.get("oom_group_kill", 0))


class MemoryEventsSource(FileSource):
    """``memory.events`` of a v2 cgroup: OOM kills, ``memory.high``, ``memory.max``.

    OOM kills are named by the cgroup below in which they happened; one that was
    removed before it was looked at counts as the watched one. One descriptor.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Oom, MemoryHigh, MemoryMax})
    file = "memory.events"

    def __init__(self, directory: str, *, from_start: bool = False) -> None:
        super().__init__(directory)
        self._from_start = from_start
        self._first_kills = 0
        self._last: dict[str, int] = {}
        self._local: dict[str, Kills] = {}
        self._told = 0
        self._awaited = -1
        self._still_since_s = 0.0
        self._timer: Timer | None = None
        self._looks = len(_LOOKS_S)
        self._limit_met_s = float("-inf")

    @property
    def key(self) -> Hashable:
        return (MemoryEventsSource, self.path)

    def _open(self) -> None:
        self._told = 0
        self._awaited = -1
        self._last = parse_counts(self._text())
        while True:  # until no kill falls between the reading of the one and the other
            self._first_kills = self._last.get("oom_kill", 0)
            self._local = self._read_local()
            self._last = parse_counts(self._text())
            if self._last.get("oom_kill", 0) == self._first_kills:
                break
        if self._from_start:
            self._first_kills = 0
            self._local = {}
            self._look_in(0)

    def _read_local(self) -> dict[str, Kills]:
        found: dict[str, Kills] = {}
        for directory in cgroups_below(self.path):
            try:
                found[directory] = _read_local_v2(directory)
            except OSError:  # removed, or without the memory controller
                continue
        return found

    def _check(self) -> None:
        self._look(at_once=True)

    def _on_change(self) -> None:
        before = self._last
        self._forget_timer()
        self._look(at_once=False)
        if _grown("oom_kill", before, self._last):
            self._looks = len(_LOOKS_S)
        elif _grown("max", before, self._last):
            # The kernel tells of at most one change in 10 ms, and before a kill comes
            # the first time that the limit is met: it may follow within a millisecond.
            last_met_s, self._limit_met_s = self._limit_met_s, anyio.current_time()
            if self._limit_met_s - last_met_s > _CALM_S:
                self._looks = 0
        if self._timer is None and self._looks < len(_LOOKS_S):
            self._look_in(_LOOKS_S[self._looks])
            self._looks += 1

    def _forget_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, delay_s: float) -> None:
        self._forget_timer()
        self._timer = current_poller().call_later(delay_s, self._changed)

    def _look(self, *, at_once: bool) -> None:
        counts = parse_counts(self._text())
        last, self._last = self._last, counts
        for name, kind in (("high", MemoryHigh), ("max", MemoryMax)):
            count = _grown(name, last, counts)
            if count:
                self._publish(kind(count, counts[name], self.path))
        kills = counts.get("oom_kill", 0)
        if kills - self._first_kills <= self._told:
            return
        if at_once or not self._may_go_on(kills):
            self._tell_kills(kills)

    def _may_go_on(self, kills: int) -> bool:
        """Whether this is a group kill that may still be moving; then look again."""
        if not _kills_groups(self.path):
            return False
        now_s = anyio.current_time()
        if kills != self._awaited:
            self._awaited = kills
            self._still_since_s = now_s
        left_s = self._still_since_s + _GROUP_QUIET_S - now_s
        if left_s <= 0:
            return False
        self._look_in(left_s)
        return True

    def _tell_kills(self, total: int) -> None:
        before, self._local = self._local, self._read_local()
        new = {
            directory: Kills(
                now.kills - before.get(directory, Kills(0)).kills,
                now.group_kills - before.get(directory, Kills(0)).group_kills,
            )
            for directory, now in self._local.items()
        }
        for directory, kills in merge_group_kills(new).items():
            self._told += kills.kills
            own_total = self._local[directory].kills
            self._publish(
                oom_record(self.path, directory, kills, max(own_total, kills.kills))
            )
        # What is left was counted in cgroups below that are gone.
        left = total - self._first_kills - self._told
        if left > 0:
            self._told += left
            self._publish(oom_record(self.path, self.path, Kills(left), total))

    def _unwatch(self) -> None:
        self._forget_timer()
        super()._unwatch()


def merge_group_kills(new: dict[str, Kills]) -> dict[str, Kills]:
    """One entry for each group kill, with all its victims; others stay apart.

    The kernel counts a group kill at the cgroup that asked for it, and each victim
    at the victim's own cgroup, which may be below.
    """
    merged: dict[str, Kills] = {}
    for directory, kills in sorted(new.items()):
        group = next(
            (
                above
                for above, already in merged.items()
                if already.group_kills > 0 and directory.startswith(f"{above}/")
            ),
            directory,
        )
        so_far = merged.get(group, Kills(0))
        merged[group] = Kills(
            so_far.kills + max(kills.kills, 0),
            so_far.group_kills + max(kills.group_kills, 0),
        )
    return {directory: kills for directory, kills in merged.items() if kills.kills}


def _grown(name: str, before: dict[str, int], now: dict[str, int]) -> int:
    return max(now.get(name, 0) - before.get(name, 0), 0)


def _kills_groups(directory: str) -> bool:
    for path in cgroups_below(directory):
        try:
            if read_text(f"{path}/memory.oom.group").strip() == "1":
                return True
        except OSError:
            continue
    return False


def oom_record(watched: str, directory: str, kills: Kills, total: int) -> Oom:
    """The record of kills in ``directory``, which is ``watched`` or below it."""
    below = directory[len(watched) :].lstrip("/")
    return Oom(kills.kills, kills.group_kills, total, directory, below)
