"""`ContainerStats`: what its cgroup counts, and what its interfaces do."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from .cgroups import Cgroup, CgroupStats
from .network.interfaces import NetworkInterface, read_interfaces

__all__ = ("ContainerStats", "sample")


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


_FIELDS = tuple(field.name for field in fields(CgroupStats))


def sample(
    cgroup: Cgroup, pid: int | None, previous: ContainerStats | None = None
) -> ContainerStats:
    """Read everything now.

    Args:
        cgroup: the container's.
        pid: a process in its own network namespace, or ``None``.
        previous: see `Cgroup.stats`.
    """
    counted = cgroup.stats(previous)
    interfaces = () if pid is None else read_interfaces(pid)
    values = {name: getattr(counted, name) for name in _FIELDS}
    return ContainerStats(**values, interfaces=interfaces)
