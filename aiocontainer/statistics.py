"""`ContainerStats`: what its cgroup counts, and what its interfaces do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from .cgroups import Cgroup, CgroupStats, Reading
from .network.interfaces import NetworkInterface, parse_net_dev, read_net_dev

__all__ = ("ContainerMeter", "ContainerStats", "sample")

_NET_DEV: Final = "net/dev"


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
        keeps: see `Cgroup.meter`.
    """

    def __init__(self, cgroup: Cgroup, pid: int | None, *, keeps: bool = False) -> None:
        self._meter = cgroup.meter(keeps=keeps)
        self._pid = pid

    def read(self) -> ContainerStats:
        """A sample, now. Raises ``OSError`` as `Meter.read_again`."""
        reading = self._meter.read_again()
        if self._pid is not None:
            reading.more[_NET_DEV] = read_net_dev(self._pid)
        return ContainerStats.of(reading)

    def release(self) -> None:
        """Hold no descriptor until the next sample."""
        self._meter.release()


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
        reading.more[_NET_DEV] = read_net_dev(pid)
    return ContainerStats.of(reading)
