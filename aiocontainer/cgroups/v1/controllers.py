"""The v1 controllers together: one sample, and the figures of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import ControllerMissing, UnsupportedFeature
from .. import pids
from ..pressure import pressure
from ..raw import raw_controllers, raw_writes
from ..rdma import misc_limits, misc_stats, rdma_limits, rdma_stats
from ..stats import BlkioStats, CgroupStats, CpuStats, HugetlbStats, MemoryStats, Usage
from ..v2 import hugetlb as hugetlb_v2
from ..writes import Reader, Write, reader_of
from . import blkio, cpu, cpuacct, cpuset, devices, hugetlb, memory, net

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("pending_writes", "read_stats", "read_usage", "wanted_of_twin")


def read_stats(
    paths: Mapping[str, str],
    unified: str | None,
    past_oom_kills: int = 0,
    previous: CgroupStats | None = None,
) -> CgroupStats:
    """One sample of all controllers; pressure comes from the cgroup2 twin.

    Args:
        paths: controller -> directory.
        unified: the cgroup2 twin.
        past_oom_kills: those in children that are gone.
        previous: the last sample, to take over what changes only by being set.
    """
    known_cpuset = None if previous is None else previous.cpuset
    if known_cpuset is None and "cpuset" in paths:
        known_cpuset = cpuset.stats(paths["cpuset"])
    known_memory = None if previous is None else previous.memory
    return CgroupStats(
        version=1,
        cpu=_cpu(paths, unified),
        cpuset=known_cpuset,
        memory=_memory(paths, unified, past_oom_kills, known_memory),
        pids=pids.stats(paths["pids"]) if "pids" in paths else None,
        blkio=_blkio(paths, unified),
        hugetlb=_hugetlb(paths, unified),
        rdma=rdma_stats(paths["rdma"]) if "rdma" in paths else {},
        misc=misc_stats(paths["misc"]) if "misc" in paths else {},
    )


def _hugetlb(paths: Mapping[str, str], unified: str | None) -> dict[str, HugetlbStats]:
    directory = paths.get("hugetlb")
    if directory is None:
        return {}
    if directory == unified:
        return hugetlb_v2.stats(directory)
    return hugetlb.stats(directory)


def _cpu(paths: Mapping[str, str], unified: str | None) -> CpuStats | None:
    if "cpu" not in paths and "cpuacct" not in paths:
        return None
    found = cpuacct.CpuTimes(0, 0, 0)
    if "cpuacct" in paths:
        found = cpuacct.times_per_cpu(paths["cpuacct"])
    quota = cpu.throttling(paths["cpu"]) if "cpu" in paths else {}
    return CpuStats(
        total_ns=found.total_ns,
        user_ns=found.user_ns,
        system_ns=found.system_ns,
        per_cpu_ns=found.per_cpu_ns,
        per_cpu_user_ns=found.per_cpu_user_ns,
        per_cpu_system_ns=found.per_cpu_system_ns,
        periods=quota.get("nr_periods"),
        throttled_periods=quota.get("nr_throttled"),
        throttled_ns=quota.get("throttled_time"),
        burst_periods=quota.get("nr_bursts"),
        burst_ns=quota.get("burst_time"),
        pressure=None if unified is None else pressure(unified, "cpu"),
    )


def _memory(
    paths: Mapping[str, str],
    unified: str | None,
    past_oom_kills: int,
    previous: MemoryStats | None,
) -> MemoryStats | None:
    if "memory" not in paths:
        return None
    stall = None if unified is None else pressure(unified, "memory")
    return memory.stats(paths["memory"], stall, past_oom_kills, previous)


def _blkio(paths: Mapping[str, str], unified: str | None) -> BlkioStats | None:
    if "blkio" not in paths:
        return None
    stall = None if unified is None else pressure(unified, "io")
    return blkio.stats(paths["blkio"], stall)


def read_usage(paths: Mapping[str, str], past_oom_kills: int = 0) -> Usage:
    """What a finished run is judged by; figures of missing controllers are ``None``."""
    memory_peak = swap_peak = kills = None
    io_read = io_write = throttled = throttled_s = None
    times = cpuacct.times(paths["cpuacct"]) if "cpuacct" in paths else None
    if "cpu" in paths:
        quota = cpu.throttling(paths["cpu"])
        throttled = quota.get("nr_throttled")
        throttled_s = quota.get("throttled_time", 0) / 1e9
    if "memory" in paths:
        memory_peak, swap_peak = memory.peaks_bytes(paths["memory"])
        kills = past_oom_kills + memory.oom_kills(paths["memory"])
    if "blkio" in paths:
        io_read, io_write = blkio.transferred(paths["blkio"])
    return Usage(
        cpu_s=None if times is None else times.total_ns / 1e9,
        cpu_user_s=None if times is None else times.user_ns / 1e9,
        cpu_system_s=None if times is None else times.system_ns / 1e9,
        memory_peak_bytes=memory_peak,
        swap_peak_bytes=swap_peak,
        io_read_bytes=io_read,
        io_write_bytes=io_write,
        throttled_periods=throttled,
        throttled_s=throttled_s,
        oom_kills=kills,
        pids_peak=pids.peak(paths["pids"]) if "pids" in paths else None,
    )


Limits: TypeAlias = "Callable[[Resources, Reader], list[Write]]"

_LIMITS: Final[Mapping[str, Limits]] = {
    "cpuset": cpuset.limits,
    "cpu": cpu.limits,
    "memory": memory.limits,
    "pids": pids.limits,
    "blkio": blkio.limits,
    "hugetlb": hugetlb.limits,
    "net_cls": net.cls_limits,
    "net_prio": net.prio_limits,
    "rdma": rdma_limits,
    "misc": misc_limits,
}


_LIMITS_OF_TWIN: Final[Mapping[str, Limits]] = {
    "hugetlb": hugetlb_v2.limits,
    "rdma": rdma_limits,
    "misc": misc_limits,
}
"""Those that hybrid machines may have on the cgroup2 side."""


def wanted_of_twin(paths: Mapping[str, str], resources: Resources) -> list[str]:
    """Controllers that are needed, and that only the cgroup2 twin may have."""
    limited = [
        controller
        for controller, limits in _LIMITS_OF_TWIN.items()
        if limits(resources, _nothing)
    ]
    wanted = dict.fromkeys([*limited, *raw_controllers(resources.unified)])
    return [controller for controller in wanted if controller not in paths]


def pending_writes(
    paths: Mapping[str, str],
    resources: Resources,
    *,
    is_new: bool,
    unified: str | None = None,
) -> dict[str, list[Write]]:
    """What is to be written where, in the order that the kernel accepts.

    Raises:
        ControllerMissing: a limit needs a controller that isn't there.
        UnsupportedFeature: v1 can't do it.
    """
    if resources.unified and unified is None:
        raise UnsupportedFeature("unified", "there is no cgroup2 directory")
    pending: dict[str, list[Write]] = {}
    for controller, limits in _LIMITS.items():
        directory = paths.get(controller, "")
        if directory == unified:
            limits = _LIMITS_OF_TWIN[controller]
        writes = limits(resources, reader_of(directory) if directory else _nothing)
        if writes and not directory:
            raise ControllerMissing(_any_of(paths), controller)
        if writes:
            pending.setdefault(directory, []).extend(writes)
    # Whoever may not use the controller can't make device nodes either.
    # An update leaves devices alone unless it says something of them.
    if "devices" in paths and (is_new or "devices" in resources.model_fields_set):
        read = None if is_new else reader_of(paths["devices"])
        writes = devices.limits(resources.devices, read)
        pending.setdefault(paths["devices"], []).extend(writes)
    if resources.unified and unified is not None:
        have = [name for name, path in paths.items() if path == unified]
        writes = raw_writes(unified, have, resources.unified)
        pending.setdefault(unified, []).extend(writes)
    return pending


def _nothing(file: str) -> None:
    """A cgroup without files."""


def _any_of(paths: Mapping[str, str]) -> str:
    return next(iter(paths.values()), "cgroup")
