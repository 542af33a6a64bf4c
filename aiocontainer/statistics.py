"""`ContainerStats`: what its cgroup counts, and what its interfaces do."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias, get_args

from .cgroups import Cgroup, CgroupStats, Reading
from .errors import ConfigError
from .network.interfaces import InterfaceCounters, NetworkInterface, parse_net_dev

__all__ = ("ContainerMeter", "ContainerStats", "StatsField", "sample")

_NET_DEV: Final = "net/dev"

StatsField: TypeAlias = Literal[
    "cpu",
    "cpuset",
    "memory",
    "pids",
    "blkio",
    "hugetlb",
    "rdma",
    "misc",
    "interfaces",
]
"""What a sample is made of."""


@dataclass(frozen=True, slots=True)
class ContainerStats(CgroupStats):
    """One sample of everything that is counted of a container."""

    interfaces: tuple[NetworkInterface, ...] = ()
    """Of its network namespace; empty where that is the host's."""

    def to_dict(self) -> dict[str, Any]:
        """The ``data`` of ``runc events --stats``."""
        # No super(): a slotted dataclass is another class than the one in the source.
        data = CgroupStats.to_dict(self)
        if self.interfaces:
            data["network_interfaces"] = [one.to_dict() for one in self.interfaces]
        return data

    def _parse(self, name: str, reading: Reading) -> Any:  # noqa: ANN401  any field
        if name == "interfaces":
            return parse_net_dev(reading.more.get(_NET_DEV, b"").decode())
        return CgroupStats._parse(self, name, reading)


class ContainerMeter:
    """Samples a container again and again.

    Args:
        cgroup: the container's.
        pid: a process in its own network namespace, or ``None``.
        only: the fields that are wanted; ``None`` is all.
        keeps: see `Cgroup.meter`.

    Raises:
        ConfigError: there is no such field.
    """

    def __init__(
        self,
        cgroup: Cgroup,
        pid: int | None,
        only: Collection[StatsField] | None = None,
        *,
        keeps: bool = False,
    ) -> None:
        for name in only or ():
            if name not in get_args(StatsField):
                raise ConfigError("only", f"{name!r} isn't a field of the statistics")
        self._meter = cgroup.meter(only, keeps=keeps)
        self._interfaces: InterfaceCounters | None = None
        if pid is not None and (only is None or "interfaces" in only):
            self._interfaces = InterfaceCounters(pid, keeps=keeps)

    def read(self) -> ContainerStats:
        """A sample, now. Raises ``OSError`` as `Meter.read_again`."""
        reading = self._meter.read_again()
        if self._interfaces is not None:
            reading.more = {_NET_DEV: self._interfaces.read()}
        return ContainerStats.of(reading)

    def release(self) -> None:
        """Hold no descriptor until the next sample."""
        self._meter.release()
        if self._interfaces is not None:
            self._interfaces.release()


def sample(cgroup: Cgroup, pid: int | None) -> ContainerStats:
    """Read everything now.

    Args:
        cgroup: the container's.
        pid: a process in its own network namespace, or ``None``.

    Raises:
        CgroupError: the cgroup is gone.
    """
    reading = cgroup.read_now()
    if pid is not None:
        reading.more = {_NET_DEV: InterfaceCounters(pid).read()}
    return ContainerStats.of(reading)
