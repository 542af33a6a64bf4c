"""The v2 controllers together: one sample, and the figures of a finished run."""

from __future__ import annotations

from collections.abc import Container

from .. import pids
from ..rdma import misc_stats, rdma_stats
from ..stats import CgroupStats, Usage
from . import cpu, cpuset, hugetlb, io, memory

__all__ = ("read_stats", "read_usage")


def read_stats(directory: str, controllers: Container[str]) -> CgroupStats:
    """One sample of all controllers that are enabled."""
    has = controllers.__contains__
    return CgroupStats(
        version=2,
        cpu=cpu.stats(directory),
        cpuset=cpuset.stats(directory) if has("cpuset") else None,
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
