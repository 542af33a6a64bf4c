"""What a cgroup has used, as frozen records.

Times are nanoseconds as the kernel counts them (pressure totals microseconds), sizes
are bytes. ``None`` is a figure that this kernel or hierarchy doesn't have. `to_dict`
gives the ``data`` field of ``runc events --stats``, name for name.

A sample holds what the kernel's files said at its moment, and parses each part when it
is first looked at: who wants one figure of 500 containers doesn't pay for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Self, TypeAlias

if TYPE_CHECKING:
    from .meter import Reading

__all__ = (
    "BlkioStats",
    "CgroupStats",
    "CpuStats",
    "CpusetStats",
    "HugetlbStats",
    "IoEntry",
    "MemoryCounter",
    "MemoryStats",
    "PidsStats",
    "Pressure",
    "PressureLine",
    "RdmaStats",
    "Usage",
)

Json: TypeAlias = dict[str, Any]

_UNLIMITED: Final = {1: 0x7FFF_FFFF_FFFF_F000, 2: 0xFFFF_FFFF_FFFF_FFFF}
"""How runc writes "no limit" in bytes, by cgroup version."""


@dataclass(frozen=True, slots=True)
class PressureLine:
    """Share of time in which tasks waited for a resource."""

    avg10: float
    """Per cent of the last 10 seconds."""
    avg60: float
    """Per cent of the last 60 seconds."""
    avg300: float
    """Per cent of the last 300 seconds."""
    total_us: int
    """All such time so far, in microseconds."""

    def to_dict(self) -> Json:
        """As runc's ``PSIData``."""
        return {
            "avg10": self.avg10,
            "avg60": self.avg60,
            "avg300": self.avg300,
            "total": self.total_us,
        }


@dataclass(frozen=True, slots=True)
class Pressure:
    """Pressure stall information (Documentation/accounting/psi.rst) of one resource."""

    some: PressureLine
    """At least one task waited."""
    full: PressureLine | None
    """All tasks waited at once. Kernels before 5.13 don't tell it for the cpu."""

    def to_dict(self) -> Json:
        """As runc's ``PSIStats``."""
        found = {"some": self.some.to_dict()}
        if self.full is not None:
            found["full"] = self.full.to_dict()
        return found


@dataclass(frozen=True, slots=True)
class CpuStats:
    """CPU time used, and withheld by the quota."""

    total_ns: int
    user_ns: int
    system_ns: int
    per_cpu_ns: tuple[int, ...] = ()
    """By cpu number; only v1 counts per cpu."""
    per_cpu_user_ns: tuple[int, ...] = ()
    """By cpu number, counted by clock ticks: coarser than the whole."""
    per_cpu_system_ns: tuple[int, ...] = ()
    periods: int | None = None
    """Enforcement periods that have passed with something to run."""
    throttled_periods: int | None = None
    throttled_ns: int | None = None
    burst_periods: int | None = None
    """Periods in which saved-up burst was used. Kernel 5.14 and later."""
    burst_ns: int | None = None
    pressure: Pressure | None = None

    def to_dict(self) -> Json:
        """As runc's ``Cpu``."""
        usage = _without_empty(
            total=self.total_ns,
            percpu=list(self.per_cpu_ns),
            percpu_kernel=list(self.per_cpu_system_ns),
            percpu_user=list(self.per_cpu_user_ns),
        )
        usage |= {"kernel": self.system_ns, "user": self.user_ns}
        found: Json = {
            "usage": usage,
            "throttling": _without_empty(
                periods=self.periods,
                throttledPeriods=self.throttled_periods,
                throttledTime=self.throttled_ns,
            ),
        }
        return found | _pressure(self.pressure)


@dataclass(frozen=True, slots=True)
class CpusetStats:
    """Which cpus and memory nodes may be used, and the v1 flags."""

    cpus: tuple[int, ...]
    mems: tuple[int, ...]
    flags: Mapping[str, int] = field(default_factory=dict)
    """v1 only, by the file's name without ``cpuset.``: ``cpu_exclusive`` and so on."""

    def to_dict(self) -> Json:
        """As runc's ``CPUSet``; flags that v2 lacks are 0."""
        found = _without_empty(cpus=list(self.cpus), mems=list(self.mems))
        return found | {name: self.flags.get(name, 0) for name in CPUSET_FLAGS}


CPUSET_FLAGS: Final = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)


@dataclass(frozen=True, slots=True)
class MemoryCounter:
    """One kind of memory, as the kernel's page counter has it."""

    usage_bytes: int = 0
    peak_bytes: int | None = None
    """The highest usage so far. v2 has it since kernel 5.19."""
    limit_bytes: int | None = None
    """``None`` is no limit."""
    failures: int = 0
    """How often the limit was hit."""

    def to_dict(self, version: int) -> Json:
        """As runc's ``MemoryEntry``; ``version`` decides how "no limit" is written."""
        unlimited = _UNLIMITED[version]
        found: Json = {
            "limit": unlimited if self.limit_bytes is None else self.limit_bytes
        }
        found |= _without_empty(usage=self.usage_bytes, max=self.peak_bytes)
        return found | {"failcnt": self.failures}


@dataclass(frozen=True, slots=True)
class MemoryStats:
    """Memory of all kinds."""

    usage: MemoryCounter
    """What is limited by ``memory.limit_in_bytes`` or ``memory.max``."""
    memory_swap: MemoryCounter | None
    """Memory and swap together, as v1 counts. On v2 it is the sum of the two, and its
    peak unknown."""
    swap: MemoryCounter | None
    """Swap alone. v1 knows no peak and no limit of it."""
    kernel: MemoryCounter | None
    kernel_tcp: MemoryCounter | None
    cache_bytes: int
    """Page cache (v1 ``cache``, v2 ``file``)."""
    oom_kills: int
    """Processes of this cgroup and below that the kernel killed for want of memory."""
    raw: Mapping[str, int] = field(default_factory=dict)
    """``memory.stat``, key by key."""
    numa: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    """``memory.numa_stat``: kind of page -> node -> pages (v1) or bytes (v2)."""
    events: Mapping[str, int] = field(default_factory=dict)
    """``memory.events`` of v2: ``low high max oom oom_kill oom_group_kill``."""
    pressure: Pressure | None = None

    def to_dict(self, version: int) -> Json:
        """As runc's ``Memory``."""
        nothing = MemoryCounter(limit_bytes=0)
        found = _without_empty(cache=self.cache_bytes)
        for name, counter in (
            ("usage", self.usage),
            ("swap", self.memory_swap),
            ("kernel", self.kernel),
            ("kernelTCP", self.kernel_tcp),
        ):
            found[name] = (counter or nothing).to_dict(version)
        if self.raw:
            found["raw"] = dict(self.raw)
        return found | _pressure(self.pressure)


@dataclass(frozen=True, slots=True)
class PidsStats:
    """Tasks (processes and threads)."""

    current: int
    limit: int | None
    peak: int | None
    """The most there were at once. Kernel 6.1 and later."""
    failures: int
    """Forks refused by the limit."""

    def to_dict(self) -> Json:
        """As runc's ``Pids``; no limit is 0."""
        return _without_empty(current=self.current, limit=self.limit)


@dataclass(frozen=True, slots=True)
class IoEntry:
    """One counter of one block device."""

    major: int
    minor: int
    op: str
    """``Read``, ``Write``, ``Sync``, ``Async``, ``Discard``, ``Total``."""
    value: int

    def to_dict(self) -> Json:
        """As runc's ``BlkioEntry``."""
        return _without_empty(
            major=self.major, minor=self.minor, op=self.op, value=self.value
        )


@dataclass(frozen=True, slots=True)
class BlkioStats:
    """Block input and output, this cgroup and below, by device and operation."""

    service_bytes: tuple[IoEntry, ...] = ()
    """Bytes transferred."""
    serviced: tuple[IoEntry, ...] = ()
    """Requests done."""
    queued: tuple[IoEntry, ...] = ()
    service_time_ns: tuple[IoEntry, ...] = ()
    wait_time_ns: tuple[IoEntry, ...] = ()
    merged: tuple[IoEntry, ...] = ()
    time_ms: tuple[IoEntry, ...] = ()
    sectors: tuple[IoEntry, ...] = ()
    pressure: Pressure | None = None

    def bytes_of(self, op: str) -> int:
        """Bytes of one operation (``Read``, ``Write``) over all devices."""
        return sum(entry.value for entry in self.service_bytes if entry.op == op)

    def to_dict(self) -> Json:
        """As runc's ``Blkio``."""
        found = _without_empty(
            ioServiceBytesRecursive=_entries(self.service_bytes),
            ioServicedRecursive=_entries(self.serviced),
            ioQueueRecursive=_entries(self.queued),
            ioServiceTimeRecursive=_entries(self.service_time_ns),
            ioWaitTimeRecursive=_entries(self.wait_time_ns),
            ioMergedRecursive=_entries(self.merged),
            ioTimeRecursive=_entries(self.time_ms),
            sectorsRecursive=_entries(self.sectors),
        )
        return found | _pressure(self.pressure)


@dataclass(frozen=True, slots=True)
class HugetlbStats:
    """Huge pages of one size."""

    usage_bytes: int
    peak_bytes: int | None
    failures: int
    reserved_bytes: int | None = None
    """Reservations that aren't yet used. Kernel 5.7 and later."""

    def to_dict(self) -> Json:
        """As runc's ``Hugetlb``."""
        found = _without_empty(usage=self.usage_bytes, max=self.peak_bytes)
        return found | {"failcnt": self.failures}


@dataclass(frozen=True, slots=True)
class RdmaStats:
    """RDMA resources of one device."""

    hca_handles: int
    hca_objects: int
    hca_handles_limit: int | None
    hca_objects_limit: int | None


class _Parsed:
    """A record whose fields are parsed when they are first asked for."""

    __slots__ = ("_reading",)
    _reading: Reading

    @classmethod
    def of(cls, reading: Reading) -> Self:
        """The record of what the files said."""
        record = cls.__new__(cls)
        object.__setattr__(record, "_reading", reading)
        return record

    if not TYPE_CHECKING:  # else a checker would take any name for a field

        def __getattr__(self, name: str) -> object:
            # Asked only while the slot of a field is empty.
            if name == "_reading" or name not in self.__dataclass_fields__:
                raise AttributeError(name)
            value = self._parse(name, self._reading)
            object.__setattr__(self, name, value)
            return value

    def _parse(self, name: str, reading: Reading) -> Any:  # noqa: ANN401  any field
        if name == "version":
            return reading.version
        part = reading.parts.get(name)
        if part is not None:
            return part.parse(reading)
        from dataclasses import MISSING, fields

        default = next(one for one in fields(self) if one.name == name)  # type: ignore[arg-type]
        if default.default_factory is not MISSING:
            return default.default_factory()
        return default.default


@dataclass(frozen=True, slots=True)
class CgroupStats(_Parsed):
    """One sample of everything that a cgroup counts."""

    version: int
    """1 or 2: which kind of hierarchy the figures come from."""
    cpu: CpuStats | None = None
    cpuset: CpusetStats | None = None
    memory: MemoryStats | None = None
    pids: PidsStats | None = None
    blkio: BlkioStats | None = None
    hugetlb: Mapping[str, HugetlbStats] = field(default_factory=dict)
    """Page size as the kernel writes it (``2MB``) -> its figures."""
    rdma: Mapping[str, RdmaStats] = field(default_factory=dict)
    """Device -> its figures."""
    misc: Mapping[str, int] = field(default_factory=dict)
    """Resource of the misc controller -> how much is in use."""

    def to_dict(self) -> Json:
        """The ``data`` of ``runc events --stats``, without the network interfaces."""
        nothing = CpuStats(0, 0, 0)
        memory = self.memory or MemoryStats(
            MemoryCounter(limit_bytes=0), None, None, None, None, 0, 0
        )
        return {
            "cpu": (self.cpu or nothing).to_dict(),
            "cpuset": (self.cpuset or CpusetStats((), ())).to_dict(),
            "memory": memory.to_dict(self.version),
            "pids": {} if self.pids is None else self.pids.to_dict(),
            "blkio": {} if self.blkio is None else self.blkio.to_dict(),
            "hugetlb": {size: one.to_dict() for size, one in self.hugetlb.items()},
            "intel_rdt": {},
            "network_interfaces": None,
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """The few figures that a finished run is judged by."""

    cpu_s: float | None = None
    cpu_user_s: float | None = None
    cpu_system_s: float | None = None
    memory_peak_bytes: int | None = None
    swap_peak_bytes: int | None = None
    """v1 counts memory and swap together only: there it is the least that it was."""
    io_read_bytes: int | None = None
    io_write_bytes: int | None = None
    throttled_periods: int | None = None
    throttled_s: float | None = None
    oom_kills: int | None = None
    pids_peak: int | None = None


def _without_empty(**values: object) -> Json:
    """What Go's ``omitempty`` writes."""
    return {name: value for name, value in values.items() if value}


def _pressure(pressure: Pressure | None) -> Json:
    return {} if pressure is None else {"psi": pressure.to_dict()}


def _entries(entries: Iterable[IoEntry]) -> list[Json]:
    return [entry.to_dict() for entry in entries]
