"""The v2 controllers together: one sample, and the figures of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import ControllerMissing, UnsupportedFeature
from .. import pids
from ..raw import raw_writes
from ..rdma import misc_limits, misc_stats, rdma_limits, rdma_stats
from ..stats import CgroupStats, Usage
from ..v1 import cpuset as cpuset_v1
from ..writes import Reader, Write, reader_of
from . import cpu, cpuset, hugetlb, io, memory

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("pending_writes", "read_stats", "read_usage")


def read_stats(
    directory: str, controllers: Container[str], previous: CgroupStats | None = None
) -> CgroupStats:
    """One sample of all controllers that are enabled; see `Cgroup.stats`."""
    has = controllers.__contains__
    known_cpuset = None if previous is None else previous.cpuset
    if known_cpuset is None and has("cpuset"):
        known_cpuset = cpuset.stats(directory)
    return CgroupStats(
        version=2,
        cpu=cpu.stats(directory),
        cpuset=known_cpuset,
        memory=memory.stats(directory) if has("memory") else None,
        pids=pids.stats(directory) if has("pids") else None,
        blkio=io.stats(directory) if has("io") else None,
        hugetlb=hugetlb.stats(directory) if has("hugetlb") else {},
        rdma=rdma_stats(directory) if has("rdma") else {},
        misc=misc_stats(directory) if has("misc") else {},
    )


def read_usage(directory: str, controllers: Container[str]) -> Usage:
    """What a finished run is judged by; figures of missing controllers are ``None``."""
    times = cpu.times(directory)
    memory_peak = swap_peak = kills = io_read = io_write = None
    if "memory" in controllers:
        memory_peak, swap_peak = memory.peaks_bytes(directory)
        kills = memory.oom_kills(directory)
    if "io" in controllers:
        io_read, io_write = io.transferred(directory)
    throttled_ns = times.throttled_ns
    return Usage(
        cpu_s=times.total_ns / 1e9,
        cpu_user_s=times.user_ns / 1e9,
        cpu_system_s=times.system_ns / 1e9,
        memory_peak_bytes=memory_peak,
        swap_peak_bytes=swap_peak,
        io_read_bytes=io_read,
        io_write_bytes=io_write,
        throttled_periods=times.throttled_periods,
        throttled_s=None if throttled_ns is None else throttled_ns / 1e9,
        oom_kills=kills,
        pids_peak=pids.peak(directory) if "pids" in controllers else None,
    )


Limits: TypeAlias = "Callable[[Resources, Reader], list[Write]]"

_LIMITS: Final[Mapping[str, Limits]] = {
    "cpuset": cpuset_v1.limits,
    "cpu": cpu.limits,
    "memory": memory.limits,
    "pids": pids.limits,
    "io": io.limits,
    "hugetlb": hugetlb.limits,
    "rdma": rdma_limits,
    "misc": misc_limits,
}


def pending_writes(
    directory: str, controllers: Collection[str], resources: Resources
) -> dict[str, list[Write]]:
    """What is to be written, in the order that the kernel accepts; raw values last.

    Raises:
        ControllerMissing: a limit needs a controller that isn't enabled.
        UnsupportedFeature: v2 can't do it.
    """
    if resources.network.class_id is not None or resources.network.priorities:
        raise UnsupportedFeature("net_cls and net_prio", "cgroup v2 has neither")
    read = reader_of(directory)
    pending: list[Write] = []
    for controller, limits in _LIMITS.items():
        writes = limits(resources, read)
        if writes and controller not in controllers:
            raise ControllerMissing(directory, controller)
        pending += writes
    return {directory: pending + raw_writes(directory, controllers, resources.unified)}
