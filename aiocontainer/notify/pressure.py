"""Memory pressure, memory thresholds (v1) and stalls for want of a resource (PSI)."""

from __future__ import annotations

import errno
import os
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, Literal

from ..errors import ConfigError, UnsupportedFeature
from .kernfs import EventFd, WatchedFile
from .records import (
    Event,
    MemoryPressure,
    MemoryThreshold,
    Pressure,
    PressureLevel,
    PressureResource,
)
from .source import FileSource, Source, cgroup_gone, read_text

__all__ = (
    "TRIGGER_OF_LEVEL",
    "MemoryPressureSource",
    "PressureSource",
    "StallTrigger",
    "ThresholdSource",
    "pressure_path",
)

PROC_PRESSURE: Final = "/proc/pressure"
_WINDOW_MIN_US: Final = 500_000
_WINDOW_MAX_US: Final = 10_000_000
_UNPRIVILEGED_STEP_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class StallTrigger:
    """When a `Pressure` record is wanted: processes stalled for want of a resource.

    Documentation/accounting/psi.rst. The kernel tells at most once in each window.

    Raises:
        ConfigError: the figures are out of their range.
    """

    resource: PressureResource = "memory"
    kind: Literal["some", "full"] = "some"
    """``some`` process stalled, or all of them at once (``full``)."""
    stall_us: int = 100_000
    """For at least this long in total, in microseconds: 1 to ``window_us``,"""
    window_us: int = 2_000_000
    """within this window: 0.5 to 10 s, in microseconds; a multiple of 2 s without
    CAP_SYS_RESOURCE."""

    def __post_init__(self) -> None:
        if self.resource not in ("cpu", "memory", "io"):
            raise ConfigError("resource", "must be 'cpu', 'memory' or 'io'")
        if self.kind not in ("some", "full"):
            raise ConfigError("kind", "must be 'some' or 'full'")
        if not _WINDOW_MIN_US <= self.window_us <= _WINDOW_MAX_US:
            raise ConfigError("window_us", "must be from 500000 to 10000000")
        if not 0 < self.stall_us <= self.window_us:
            raise ConfigError("stall_us", "must be from 1 to window_us")


TRIGGER_OF_LEVEL: Final[Mapping[PressureLevel, StallTrigger]] = {
    "low": StallTrigger("memory", "some", 100_000),
    "medium": StallTrigger("memory", "some", 300_000),
    "critical": StallTrigger("memory", "full", 300_000),
}
"""What stands for the levels of v1 where only stalls are counted: some process waits
for memory 5 % of the time, 15 %, or all of them do 15 % of the time."""


class _EventfdSource(Source):
    """A v1 notification by eventfd, whose count is the event. One descriptor.

    There is no other count: what happens while it is parked is not reported.
    """

    def __init__(self, directory: str) -> None:
        super().__init__(directory)
        self._eventfd: EventFd | None = None
        self._inode = 0

    def _register(self, file: str, argument: str) -> None:
        self._eventfd = EventFd(self._changed)
        self._eventfd.register(self.path, file, argument)

    def _open(self) -> None:
        self._inode = os.stat(self.path).st_ino

    def _check(self) -> None:
        count = 0 if self._eventfd is None else self._eventfd.take()
        if cgroup_gone(self.path, self._inode):
            self._end()  # the removal was signalled too
        elif count:
            self._report(count)

    def _report(self, count: int) -> None:
        raise NotImplementedError

    def _unwatch(self) -> None:
        if self._eventfd is not None:
            self._eventfd.close()
            self._eventfd = None


class MemoryPressureSource(_EventfdSource):
    """``memory.pressure_level`` of a v1 memory cgroup.

    Args:
        directory: the cgroup in the memory hierarchy.
        level: report pressure of this level and above.
        mode: ``local`` leaves out pressure in the cgroups below; ``hierarchy`` reports
            it even if somebody watches there; ``default`` only if nobody does.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({MemoryPressure})

    def __init__(
        self,
        directory: str,
        level: PressureLevel = "low",
        mode: Literal["default", "hierarchy", "local"] = "default",
    ) -> None:
        super().__init__(directory)
        self._level: PressureLevel = level
        self._mode = mode

    @property
    def key(self) -> Hashable:
        return (MemoryPressureSource, self.path, self._level, self._mode)

    def _watch(self) -> None:
        self._register("memory.pressure_level", f"{self._level},{self._mode}")

    def _report(self, count: int) -> None:
        self._publish(MemoryPressure(self._level, count, self.path))


class ThresholdSource(_EventfdSource):
    """Memory use of a v1 cgroup crossing a threshold, up or down.

    Args:
        directory: the cgroup in the memory hierarchy.
        threshold_bytes: the kernel rounds it down to whole pages.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({MemoryThreshold})

    def __init__(self, directory: str, threshold_bytes: int) -> None:
        super().__init__(directory)
        self._threshold_bytes = threshold_bytes

    @property
    def key(self) -> Hashable:
        return (ThresholdSource, self.path, self._threshold_bytes)

    def _watch(self) -> None:
        self._register("memory.usage_in_bytes", str(self._threshold_bytes))

    def _report(self, count: int) -> None:
        usage_bytes = int(read_text(f"{self.path}/memory.usage_in_bytes"))
        self._publish(
            MemoryThreshold(self._threshold_bytes, usage_bytes, count, self.path)
        )


class PressureSource(FileSource):
    """A PSI trigger: stalls of at least ``stall_us`` within ``window_us``.

    The kernel reports a trigger at most once in each window. One descriptor.

    Args:
        path: the pressure file; see `pressure_path`. It is that of the resource.
        trigger: what is to be reported.
    """

    kinds: ClassVar[frozenset[type[Event]]] = frozenset({Pressure})

    def __init__(self, path: str, trigger: StallTrigger) -> None:
        super().__init__(path)
        self._trigger = trigger
        self._last_us = 0

    @property
    def key(self) -> Hashable:
        return (PressureSource, self.path, self._trigger)

    def _watch(self) -> None:
        wanted = self._trigger
        text = f"{wanted.kind} {wanted.stall_us} {wanted.window_us}\0".encode()
        try:
            self._file = WatchedFile(self.path, self._changed, trigger=text)
        except OSError as error:
            unsupported = self._unsupported(error)
            if unsupported is None:
                raise
            raise unsupported from error

    def _open(self) -> None:
        self._last_us = self._total_us()

    def _unsupported(self, error: OSError) -> UnsupportedFeature | None:
        if (
            error.errno == errno.EINVAL
            and self._trigger.window_us % _UNPRIVILEGED_STEP_US
        ):
            reason = "the kernel refused the trigger"
            hint = "without CAP_SYS_RESOURCE the window must be a multiple of 2 s"
            return UnsupportedFeature("pressure events", reason, hint)
        if error.errno == errno.EOPNOTSUPP:
            reason = "the kernel has PSI switched off"
            return UnsupportedFeature("pressure events", reason, "boot with psi=1")
        return None

    def _text(self) -> str:
        return read_text(self.path) if self._file is None else self._file.read()

    def _total_us(self) -> int:
        return parse_stall_total(self._text(), self._trigger.kind)

    def _check(self) -> None:
        # That the trigger fired is forgotten by the kernel once polled, and the loop
        # polls it through our epoll (measured: our own poll then finds nothing). So
        # we are called for anything that happens and see by the total: it has fired
        # if the stalls since the last report reach the trigger's.
        total_us = self._total_us()
        stalled_us = total_us - self._last_us
        wanted = self._trigger
        if stalled_us < wanted.stall_us:
            return
        self._last_us = total_us
        self._publish(
            Pressure(
                wanted.resource,
                wanted.kind,
                wanted.stall_us,
                wanted.window_us,
                stalled_us,
                total_us,
                self.path,
            )
        )


def parse_stall_total(text: str, kind: str) -> int:
    """The total stall time in microseconds from a pressure file; 0 if not given."""
    for line in text.splitlines():
        words = line.split()
        if words and words[0] == kind and words[-1].startswith("total="):
            return int(words[-1].removeprefix("total="))
    return 0


def pressure_path(directory: str | None, resource: PressureResource) -> str:
    """The pressure file of a v2 cgroup; of the whole machine for ``None``."""
    if directory is None:
        return f"{PROC_PRESSURE}/{resource}"
    return f"{directory}/{resource}.pressure"
