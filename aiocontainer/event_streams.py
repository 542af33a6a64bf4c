"""The streams of one container: its events and its samples."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from .cgroups import Cgroup
from .errors import ConfigError, UnsupportedFeature
from .notify import (
    TRIGGER_OF_LEVEL,
    CgroupEventsSource,
    Event,
    EventHub,
    EventStream,
    MemoryPressure,
    MemoryPressureSource,
    MemoryThreshold,
    Oom,
    Pressure,
    PressureLevel,
    PressureSource,
    Sampler,
    Source,
    StallTrigger,
    ThresholdSource,
    oom_source,
    pids_source,
    pressure_path,
)
from .notify.exits import ExitSource
from .statistics import ContainerMeter, ContainerStats, StatsField

if TYPE_CHECKING:
    from .watching import Watching


class Streams:
    """Made when somebody first looks at the container."""

    def __init__(self, name: str, watching: Watching) -> None:
        """For `Watching` alone.

        Args:
            name: the container's.
            watching: what is known of its processes.
        """
        self._watching = watching
        # Of each stream: all end with the container.
        self.exits = ExitSource(name, watching.looks)
        self.hub: EventHub | None = None
        self._samplers: weakref.WeakSet[Sampler[ContainerStats]] = weakref.WeakSet()

    def events(
        self,
        cgroup: Cgroup | None,
        pressure: PressureLevel | None = None,
        stalls: Iterable[StallTrigger] = (),
        thresholds_bytes: Iterable[int] = (),
    ) -> EventStream[Event]:
        """Everything that happens from now on; the rest on request."""
        wanted = [partial(_stall_source, trigger=trigger) for trigger in stalls]
        wanted += [partial(_threshold_source, size=size) for size in thresholds_bytes]
        if pressure is not None:
            wanted.append(partial(_pressure_source, level=pressure))
        if wanted and cgroup is None:
            raise UnsupportedFeature("such events", "the container has no cgroup")
        extra = [] if cgroup is None else [make(cgroup) for make in wanted]
        return self._opened(cgroup).subscribe(sources=extra)

    def oom_events(self, cgroup: Cgroup) -> EventStream[Oom]:
        """Kills for want of memory."""
        return self._opened(cgroup).subscribe(Oom, sources=[self.exits])

    def memory_pressure(
        self, cgroup: Cgroup, level: PressureLevel
    ) -> EventStream[MemoryPressure | Pressure]:
        """Memory is hard to come by, as either version tells it."""
        source = _pressure_source(cgroup, level)
        sources = [source, self.exits]
        stream = self._opened(cgroup).subscribe(*source.kinds, sources=sources)
        return cast("EventStream[MemoryPressure | Pressure]", stream)

    def memory_threshold(
        self, cgroup: Cgroup, threshold_bytes: int
    ) -> EventStream[MemoryThreshold]:
        """Use crossing a threshold (v1)."""
        source = _threshold_source(cgroup, threshold_bytes)
        sources = [source, self.exits]
        return self._opened(cgroup).subscribe(MemoryThreshold, sources=sources)

    def stalls(self, cgroup: Cgroup, trigger: StallTrigger) -> EventStream[Pressure]:
        """A PSI trigger on the container's own pressure file (cgroup2)."""
        source = _stall_source(cgroup, trigger)
        sources = [source, self.exits]
        return self._opened(cgroup).subscribe(Pressure, sources=sources)

    def samples(
        self,
        cgroup: Cgroup,
        pid: int | None,
        interval_s: float,
        only: Collection[StatsField] | None = None,
    ) -> Sampler[ContainerStats]:
        """Statistics on a schedule; ``pid`` as for `statistics.sample`."""
        meter = ContainerMeter(cgroup, pid, only, keeps=True)

        watching = self._watching

        def read() -> ContainerStats:
            # Nobody else may be waiting for its end. Not while that is dealt with: its
            # status can be had once only.
            if watching.first is not None and not watching.over:
                watching.first.look()
                if watching.over:
                    raise OSError(errno.ENODEV, "the last sample has been taken")
            return meter.read()

        sampler = Sampler(read, interval_s, release=meter.release)
        if watching.over:
            sampler.end()
        self._samplers.add(sampler)
        return sampler

    def _opened(self, cgroup: Cgroup | None) -> EventHub:
        if self.hub is None:
            sources = [self.exits, *_sources(cgroup)]
            self.hub = EventHub(sources)
            if self._watching.over:
                self.hub.end()
        return self.hub

    def end(self) -> None:
        """The container is over: last samples, then all streams end."""
        for sampler in self._samplers:
            sampler.end()
        if self.hub is not None:
            self.hub.end()


def _sources(cgroup: Cgroup | None) -> Iterator[Source]:
    """What the kernel tells of a cgroup, as far as it has the controllers."""
    if cgroup is None:
        return
    version: Any = cgroup.version
    if "memory" in cgroup.paths:
        yield oom_source(cgroup.paths["memory"], version)
    if "pids" in cgroup.paths:
        yield pids_source(cgroup.paths["pids"], version)
    if cgroup.unified is not None:
        yield CgroupEventsSource(cgroup.unified)


def _pressure_source(cgroup: Cgroup, level: PressureLevel) -> Source:
    if level not in TRIGGER_OF_LEVEL:
        raise ConfigError("level", f"must be one of {', '.join(TRIGGER_OF_LEVEL)}")
    if cgroup.version == 2:
        return _stall_source(cgroup, TRIGGER_OF_LEVEL[level])
    return MemoryPressureSource(_memory_v1(cgroup, "memory pressure"), level)


def _threshold_source(cgroup: Cgroup, size: int) -> Source:
    return ThresholdSource(_memory_v1(cgroup, "memory thresholds"), size)


def _stall_source(cgroup: Cgroup, trigger: StallTrigger) -> Source:
    if cgroup.unified is None:
        reason = "pressure of a cgroup is counted on cgroup2 only"
        raise UnsupportedFeature("stall events", reason)
    return PressureSource(pressure_path(cgroup.unified, trigger.resource), trigger)


def _memory_v1(cgroup: Cgroup, wanted: str) -> str:
    """The directory in the memory hierarchy of v1."""
    if cgroup.version != 1:
        hint = "memory.high_bytes and its MemoryHigh events serve a similar end"
        raise UnsupportedFeature(wanted, "only cgroup v1 has them", hint)
    if "memory" not in cgroup.paths:
        raise UnsupportedFeature(wanted, "the container has no memory controller")
    return cgroup.paths["memory"]
