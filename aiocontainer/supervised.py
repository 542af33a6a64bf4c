"""What is done with a container as a whole while it runs: pause, limits, figures,
events."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Literal, TypeAlias

from .cgroups import Cgroup
from .config import Config, Resources
from .config.units import parse_size
from .errors import ConfigError, StatusError, UnsupportedFeature
from .proc.process import Process
from .processes import Processes
from .statistics import ContainerStats, StatsField, sample

if TYPE_CHECKING:
    from .intel_rdt import RdtStats
    from .notify import (
        Event,
        EventStream,
        MemoryPressure,
        MemoryThreshold,
        Oom,
        Pressure,
        PressureLevel,
        PressureResource,
        Sampler,
        StallTrigger,
    )

Status: TypeAlias = Literal["created", "running", "paused", "checkpointed", "stopped"]


class Supervised:
    """The part of `Container` that works by its cgroup."""

    config: Config
    id: str
    _processes: Processes

    def status(self) -> Status:
        """See `Container.status`."""
        raise NotImplementedError

    # -- limits and figures ----------------------------------------------------

    def rdt_stats(self) -> dict[str, RdtStats]:
        """Its share of caches and memory bandwidth, by cache domain:
        ``{"mon_L3_00": RdtStats(...)}``. Empty without ``intel_rdt`` in its config, or
        where its class is shared and nothing monitors it alone.

        Raises:
            UnsupportedFeature: this machine has no resctrl.
        """
        if self.config.intel_rdt is None:
            return {}
        from .intel_rdt import read_rdt_stats

        return read_rdt_stats(self.config.intel_rdt, self.id)

    def set_rdt(
        self, *, l3_cache_schema: str | None = None, mem_bw_schema: str | None = None
    ) -> None:
        """Change the schemata of its class in resctrl; ``None`` stays as it is.

        Raises:
            ConfigError: a line that can't be one.
            StatusError: the container isn't running.
            UnsupportedFeature: this machine has no resctrl, or the container no class
                of its own.
            SetupError: the kernel refuses.
        """
        from .intel_rdt import change

        self._running("change limits")
        if (status := self.status()) == "stopped":
            raise StatusError(status, "change limits")
        change(self.config.intel_rdt, self.id, l3_cache_schema, mem_bw_schema)

    async def pause(self) -> None:
        """Stop every process, confirmed by the kernel on return; paused is fine.

        Cancelled or failed, all of them go on.

        Raises:
            StatusError: the container isn't running.
            UnsupportedFeature: it has no cgroup that can be frozen.
            CgroupError: not all could be stopped in time.
        """
        cgroup = self._grouped("pause")
        await cgroup.freeze()
        self._processes.watching.froze(cgroup, frozen=True)

    async def resume(self) -> None:
        """Let every process go on, confirmed by the kernel on return.

        Raises:
            StatusError: the container isn't running.
            UnsupportedFeature: it has no cgroup.
        """
        cgroup = self._grouped("resume")
        await cgroup.thaw()
        self._processes.watching.froze(cgroup, frozen=False)

    async def stats(self) -> ContainerStats:
        """Everything that is counted of the container, now. Doesn't wait.

        Raises:
            StatusError: the container isn't running.
            UnsupportedFeature: it has no cgroup.
        """
        cgroup = self._grouped("read statistics")
        return sample(cgroup, self._processes.network_pid)

    async def set(self, resources: Resources, *, may_kill: bool = False) -> None:
        """Change limits. Fields that are ``None`` stay as they are.

        Args:
            resources: the new limits.
            may_kill: let a memory limit below what is in use kill processes.

        Raises:
            StatusError: the container isn't running.
            ControllerMissing: nothing was changed.
            CgroupError: refused, or it would kill; the old values are back.
        """
        cgroup = self._grouped("change limits")
        await cgroup.aupdate(resources, may_kill=may_kill)

    def watch_stats(
        self, interval: float = 1.0, *, only: Collection[StatsField] | None = None
    ) -> Sampler[ContainerStats]:
        """Statistics every ``interval`` seconds, as an async iterator of `Sample`.

        The schedule is fixed: no drift, and no burst after a stall. A reader that is
        late is told how many samples it missed. The last sample is taken when the
        container ends; then the iterator ends. Errors as `stats`.

        While it waits its files are kept open (some twenty descriptors), as long as
        half of what the program may have are free.

        Args:
            interval: seconds, at least 0.001.
            only: fields of `ContainerStats` that are wanted, as ``("cpu", "memory")``;
                the others are not read.
        """
        cgroup = self._grouped("read statistics")
        pid = self._processes.network_pid
        return self._processes.watching.streams.samples(cgroup, pid, interval, only)

    # -- events ----------------------------------------------------------------

    def events(
        self,
        *,
        pressure: PressureLevel | None = None,
        stalls: Iterable[StallTrigger] = (),
        thresholds: Iterable[int | str] = (),
    ) -> EventStream[Event]:
        """All that happens from now on, as an async iterator of records for ``match``.

        `Oom`, `Exit`, `PidsMax`, `Paused`, `Resumed`, `MemoryHigh` and so on, as far as
        the kernel tells. An `Oom` comes before the `Exit` that it caused. Ends with the
        container. Of a slow reader's the oldest are dropped and counted, but never an
        `Oom` or an `Exit`. Watching begins before this returns.

        Args:
            pressure: also when memory is hard to come by, as `pressure_events`.
            stalls: also when processes stall for want of something, as `stall_events`.
            thresholds: also when memory use crosses one, as `threshold_events`.

        Raises:
            StatusError: there is no process yet.
            ConfigError: figures out of range.
            CgroupError: it can't be watched.
            UnsupportedFeature: the container's cgroup doesn't tell what is asked for.
        """
        self._running("watch events")
        sizes = [checked_size("threshold", size) for size in thresholds]
        return self._processes.watching.streams.events(
            self._processes.cgroup, pressure, stalls, sizes
        )

    def oom_events(self) -> EventStream[Oom]:
        """Kills for want of memory, counted by the kernel; otherwise as `events`.

        Raises:
            UnsupportedFeature: the container has no cgroup.
        """
        return self._processes.watching.streams.oom_events(
            self._grouped("watch events")
        )

    def pressure_events(
        self, level: PressureLevel = "medium"
    ) -> EventStream[MemoryPressure | Pressure]:
        """Memory is hard to come by, at ``level`` or above.

        On cgroup v1 the kernel has trouble to reclaim it (`MemoryPressure`); v2 doesn't
        tell that, but that processes stall for it (`Pressure`): some of them 5 % of the
        time (``"low"``), 15 % (``"medium"``), or all of them 15 % (``"critical"``).

        Raises:
            UnsupportedFeature: the container has no memory controller, or PSI is off.
        """
        cgroup = self._grouped("watch events")
        return self._processes.watching.streams.memory_pressure(cgroup, level)

    def threshold_events(self, threshold: int | str) -> EventStream[MemoryThreshold]:
        """Memory use crosses ``threshold`` (bytes, or ``"64MiB"``), up or down (v1).

        Raises:
            UnsupportedFeature: the container's cgroup is v2.
        """
        cgroup = self._grouped("watch events")
        size = checked_size("threshold", threshold)
        return self._processes.watching.streams.memory_threshold(cgroup, size)

    def stall_events(
        self,
        resource: PressureResource = "memory",
        kind: Literal["some", "full"] = "some",
        *,
        stall_us: int = 100_000,
        window_us: int = 2_000_000,
    ) -> EventStream[Pressure]:
        """Processes stalled for want of ``resource``: a PSI trigger, on cgroup2.

        Args:
            resource: ``cpu``, ``memory`` or ``io``.
            kind: ``some`` process stalled, or all at once (``full``).
            stall_us: for at least this long in total,
            window_us: within this window, 0.5 to 10 s, in microseconds.

        Raises:
            ConfigError: figures out of range.
            UnsupportedFeature: the container's cgroup has no pressure files.
        """
        from .notify import StallTrigger

        cgroup = self._grouped("watch events")
        trigger = StallTrigger(resource, kind, stall_us, window_us)
        return self._processes.watching.streams.stalls(cgroup, trigger)

    def _running(self, wanted: str) -> Process:
        if self._processes.first is None:
            raise StatusError("created", wanted)
        return self._processes.first

    def _grouped(self, wanted: str) -> Cgroup:
        if self.status() not in ("running", "paused"):
            raise StatusError(self.status(), wanted)
        if self._processes.cgroup is None:
            raise UnsupportedFeature(wanted, "the container has no cgroup")
        return self._processes.cgroup


def checked_size(field: str, size: int | str) -> int:
    try:
        return parse_size(size)
    except ConfigError as error:
        raise ConfigError(field, error.reason) from None
