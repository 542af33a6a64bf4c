"""What can be seen of a container while it runs: its events and its samples."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Iterator
from typing import Any, Literal

from .cgroups import Cgroup
from .errors import CgroupError, UnsupportedFeature
from .notify import (
    CgroupEventsSource,
    Event,
    EventHub,
    EventStream,
    Exit,
    MemoryPressure,
    MemoryPressureSource,
    MemoryThreshold,
    Oom,
    Pressure,
    PressureLevel,
    PressureResource,
    PressureSource,
    Sampler,
    Source,
    ThresholdSource,
    oom_source,
    pids_source,
    pressure_path,
)
from .notify.exits import ExitSource
from .proc.process import Process
from .proc.result import Usage
from .statistics import ContainerStats, sample


class Watching:
    """The streams of one container. Costs nothing while there are none."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._exits = ExitSource(name)
        self._hub: EventHub | None = None
        self._samplers: weakref.WeakSet[Sampler[ContainerStats]] = weakref.WeakSet()
        self._first: Process | None = None
        self._over = False

    # -- for those who read ----------------------------------------------------------

    def events(self, cgroup: Cgroup | None) -> EventStream[Event]:
        """Everything that happens from now on."""
        return self._opened(cgroup).subscribe()

    def oom_events(self, cgroup: Cgroup) -> EventStream[Oom]:
        """Kills for want of memory."""
        return self._opened(cgroup).subscribe(Oom)

    def memory_pressure(
        self, cgroup: Cgroup, level: PressureLevel
    ) -> EventStream[MemoryPressure]:
        """Reclaim at ``level`` or above (v1)."""
        source = MemoryPressureSource(_directory(cgroup, "memory", version=1), level)
        return self._opened(cgroup).subscribe(MemoryPressure, sources=[source])

    def memory_threshold(
        self, cgroup: Cgroup, threshold_bytes: int
    ) -> EventStream[MemoryThreshold]:
        """Use crossing a threshold (v1)."""
        directory = _directory(cgroup, "memory", version=1)
        source = ThresholdSource(directory, threshold_bytes)
        return self._opened(cgroup).subscribe(MemoryThreshold, sources=[source])

    def stalls(
        self,
        cgroup: Cgroup,
        resource: PressureResource,
        kind: Literal["some", "full"],
        stall_us: int,
        window_us: int,
    ) -> EventStream[Pressure]:
        """A PSI trigger on the container's own pressure file (v2)."""
        if cgroup.unified is None:
            raise UnsupportedFeature(
                "stall events", "pressure of a cgroup is counted on cgroup2 only"
            )
        source = PressureSource(
            pressure_path(cgroup.unified, resource),
            resource,
            kind,
            stall_us=stall_us,
            window_us=window_us,
        )
        return self._opened(cgroup).subscribe(Pressure, sources=[source])

    def samples(
        self, cgroup: Cgroup, pid: int | None, interval_s: float
    ) -> Sampler[ContainerStats]:
        """Statistics on a schedule; ``pid`` as for `statistics.sample`."""
        previous: ContainerStats | None = None

        def read() -> ContainerStats:
            nonlocal previous
            was_over = self._over
            if self._first is not None:
                self._first.look()  # nobody else may be waiting for its end
            if self._over and not was_over:
                raise OSError(errno.ENODEV, "the last sample has been taken")
            try:
                previous = sample(cgroup, pid, previous)
            except CgroupError as error:  # the sampler knows what ENODEV means
                raise error.__cause__ or error from None
            return previous

        sampler = Sampler(read, interval_s)
        if self._over:
            sampler.end()
        self._samplers.add(sampler)
        return sampler

    def _opened(self, cgroup: Cgroup | None) -> EventHub:
        if self._hub is None:
            sources = [self._exits, *_sources(cgroup)]
            self._hub = EventHub(sources)
            if self._over:
                self._hub.end()
        return self._hub

    # -- for the container -----------------------------------------------------------

    def started(self, process: Process) -> None:
        """A process has been started; the first of them is the container's own."""
        self._first = self._first or process
        self._exits.add(process.pidfd, process.look)

    def ending(self, pidfd: int) -> None:
        """A process has ended, and its figures can still be read: kills come first."""
        self._exits.remove(pidfd)
        if self._hub is not None:
            self._hub.check()

    def ended(self, pid: int, status: int | None, usage: Usage, *, init: bool) -> None:
        """A process has ended; with the first one, all is over."""
        if self._hub is not None:
            kills = usage.oom_kills or 0
            self._hub.publish(Exit(pid, status, kills, init, usage))
        if init:
            self.end()

    def end(self) -> None:
        """The container is over: last samples, then all streams end."""
        if self._over:
            return
        self._over = True
        for sampler in self._samplers:
            sampler.end()
        if self._hub is not None:
            self._hub.end()


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


def _directory(cgroup: Cgroup, controller: str, *, version: int) -> str:
    if cgroup.version != version:
        raise UnsupportedFeature(
            f"{controller} events of cgroup v{version}",
            f"this container's cgroup is v{cgroup.version}",
        )
    if controller not in cgroup.paths:
        raise UnsupportedFeature(f"{controller} events", "no such controller")
    return cgroup.paths[controller]
