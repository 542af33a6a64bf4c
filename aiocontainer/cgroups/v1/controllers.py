"""The v1 controllers together: one sample, and the figures of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import ControllerMissing, UnsupportedFeature
from .. import hugetlb, pids
from ..files import parse_flat
from ..meter import Folder, Part, Reading, Texts
from ..pressure import pressure_in
from ..raw import raw_controllers, raw_writes
from ..rdma import misc_limits, rdma_limits
from ..stats import CpuStats, Usage
from ..v2.controllers import shared_parts
from ..writes import Reader, Write, reader_of
from . import blkio, cpu, cpuacct, cpuset, devices, memory, net

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("follow_up", "parts", "pending_writes", "read_usage", "wanted_of_twin")


def parts(paths: Mapping[str, str], unified: str | None) -> dict[str, Part]:
    """What a sample is made of; pressure comes from the cgroup2 twin.

    Args:
        paths: controller -> directory.
        unified: the cgroup2 twin.
    """
    found = {}
    if "cpu" in paths or "cpuacct" in paths:
        folders = [*_folder(paths, "cpuacct", cpuacct.FILES)]
        folders += [*_folder(paths, "cpu", ("cpu.stat",)), *_stall(unified, "cpu")]
        found["cpu"] = Part(tuple(folders), _parse_cpu)
    if "cpuset" in paths:
        folder = Folder(paths["cpuset"], cpuset.FILES)
        found["cpuset"] = Part(
            (folder,), lambda r: cpuset.parse(r.texts), frozenset(cpuset.FILES)
        )
    if "memory" in paths:
        folders = [*_folder(paths, "memory", memory.FILES, memory.OPTIONAL_FILES)]
        folders += _stall(unified, "memory")
        found["memory"] = Part(
            tuple(folders),
            lambda r: memory.parse(r.texts, r.other_kills),
            memory.LIMIT_FILES,
        )
    if "pids" in paths:
        folder = Folder(paths["pids"], pids.FILES, pids.OPTIONAL_FILES)
        found["pids"] = Part((folder,), lambda r: pids.parse(r.texts), pids.LIMIT_FILES)
    if "blkio" in paths:
        folders = [*_folder(paths, "blkio", (), blkio.OPTIONAL_FILES)]
        folders += _stall(unified, "io")
        found["blkio"] = Part(tuple(folders), lambda r: blkio.parse(r.texts))
    return found | shared_parts(paths, unified)


def _folder(
    paths: Mapping[str, str],
    controller: str,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
) -> Iterator[Folder]:
    if controller in paths:
        yield Folder(paths[controller], required, optional)


def _stall(unified: str | None, resource: str) -> list[Folder]:
    name = f"{resource}.pressure"
    return [] if unified is None else [Folder(unified, optional=(name,))]


def _parse_cpu(reading: Reading) -> CpuStats:
    texts = reading.texts
    found = cpuacct.CpuTimes(0, 0, 0)
    if "cpuacct.usage_all" in texts:
        found = cpuacct.parse(texts)
    quota = parse_flat(texts.get("cpu.stat", b"").decode())
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
        pressure=pressure_in(texts, "cpu"),
    )


def follow_up(paths: Mapping[str, str], texts: Texts) -> list[Folder]:
    """What else a sample needs, going by what was read: BFQ's files, if it is used."""
    if "blkio" not in paths or not blkio.has_bfq(texts):
        return []
    return [Folder(paths["blkio"], optional=blkio.BFQ_FILES)]


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
    "hugetlb": hugetlb.limits_v1,
    "net_cls": net.cls_limits,
    "net_prio": net.prio_limits,
    "rdma": rdma_limits,
    "misc": misc_limits,
}


_LIMITS_OF_TWIN: Final[Mapping[str, Limits]] = {
    "hugetlb": hugetlb.limits_v2,
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
