"""What can happen to a container, as records for ``match``.

Each is a frozen dataclass, made when the kernel's file was read: counts are the
kernel's own, never guessed. ``cgroup`` is always the directory under /sys/fs/cgroup.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

if TYPE_CHECKING:
    from ..proc.result import Usage

__all__ = (
    "Event",
    "Exit",
    "Lost",
    "MemoryHigh",
    "MemoryMax",
    "MemoryPressure",
    "MemoryThreshold",
    "Oom",
    "Paused",
    "PidsMax",
    "Pressure",
    "PressureLevel",
    "PressureResource",
    "Resumed",
)

PressureLevel: TypeAlias = Literal["low", "medium", "critical"]
PressureResource: TypeAlias = Literal["cpu", "memory", "io"]


@dataclass(frozen=True, slots=True)
class Oom:
    """The kernel killed processes because the cgroup ran out of memory.

    Comes before the `Exit` that it caused.
    """

    kills: int
    """Processes killed since the last `Oom` of this cgroup, at least 1.

    As the kernel counts (``oom_kill``): of a whole group it counts the first victim
    twice, unless that has ended by then."""
    group_kills: int
    """How often the whole cgroup was killed at once (``memory.oom.group``, v2)."""
    total: int
    """Processes of this cgroup killed so since it was made."""
    cgroup: str
    """Directory of the cgroup whose processes were killed."""
    sub_cgroup: str = ""
    """That directory relative to the watched one; empty for the watched one itself."""


@dataclass(frozen=True, slots=True)
class Exit:
    """A process that was started in the container has ended."""

    pid: int
    """Its pid, as the program that started it sees it."""
    returncode: int | None
    """As in subprocess: negative for a signal. ``None``: somebody else reaped it."""
    oom_kills: int = 0
    """Processes of its tree that the kernel killed for lack of memory; 0 also where
    that isn't counted (then ``usage.oom_kills`` is ``None``)."""
    init: bool = False
    """Whether it was the container's first process, so that the container is over."""
    usage: Usage | None = None
    """What the run has used, where it was measured."""


@dataclass(frozen=True, slots=True)
class MemoryHigh:
    """Processes were throttled and made to reclaim: over ``memory.high`` (v2)."""

    count: int
    """How often since the last such record."""
    total: int
    """How often since the cgroup was made."""
    cgroup: str


@dataclass(frozen=True, slots=True)
class MemoryMax:
    """Use was about to go over ``memory.max`` and had to be reclaimed (v2).

    Says that the limit was met, not that anything was killed: that is `Oom`.
    """

    count: int
    """How often since the last such record."""
    total: int
    """How often since the cgroup was made."""
    cgroup: str


@dataclass(frozen=True, slots=True)
class MemoryThreshold:
    """Memory use crossed a threshold that was asked for, up or down (v1)."""

    threshold_bytes: int
    usage_bytes: int
    """Use when the crossing was seen."""
    crossings: int
    """How often it was crossed since the last such record."""
    cgroup: str

    @property
    def above(self) -> bool:
        """Whether use was at or over the threshold when the crossing was seen."""
        return self.usage_bytes >= self.threshold_bytes


@dataclass(frozen=True, slots=True)
class MemoryPressure:
    """The kernel had to reclaim memory, at this level of difficulty or above (v1)."""

    level: PressureLevel
    count: int
    """How often since the last such record."""
    cgroup: str


@dataclass(frozen=True, slots=True)
class Pressure:
    """Processes stalled for want of a resource (a PSI trigger fired)."""

    resource: PressureResource
    kind: Literal["some", "full"]
    """``some``: at least one process stalled; ``full``: all of them at once."""
    stall_us: int
    """The trigger: at least this long, in microseconds, within ``window_us``."""
    window_us: int
    stalled_us: int
    """Stall time since the last such record, or since the watch was opened."""
    total_us: int
    """Stall time since the cgroup was made (since boot, for the whole machine)."""
    path: str
    """The pressure file."""


@dataclass(frozen=True, slots=True)
class PidsMax:
    """A fork was refused: ``pids.max`` was reached."""

    count: int
    """How often since the last such record of this cgroup."""
    total: int
    """How often since the cgroup was made."""
    cgroup: str
    """v1: the cgroup that wanted to fork; v2: the one watched."""


@dataclass(frozen=True, slots=True)
class Paused:
    """Every process of the cgroup is frozen."""

    cgroup: str


@dataclass(frozen=True, slots=True)
class Resumed:
    """The cgroup is thawed."""

    cgroup: str


@dataclass(frozen=True, slots=True)
class Lost:
    """Records were dropped, because this stream was read too slowly.

    Stands where they would have stood. Never counts an `Oom` or an `Exit`: these
    are not dropped.
    """

    count: int


Event: TypeAlias = (
    Oom
    | Exit
    | MemoryHigh
    | MemoryMax
    | MemoryThreshold
    | MemoryPressure
    | Pressure
    | PidsMax
    | Paused
    | Resumed
    | Lost
)
