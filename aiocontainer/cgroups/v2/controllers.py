"""The v2 controllers together: one sample, and the figures of a finished run."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import ControllerMissing, UnsupportedFeature
from .. import hugetlb, pids
from ..meter import Folder, Part, Texts
from ..raw import raw_writes
from ..rdma import (
    MISC_FILES,
    RDMA_FILES,
    misc_limits,
    parse_misc,
    parse_rdma,
    rdma_limits,
)
from ..stats import Usage
from ..v1 import cpuset as cpuset_v1
from ..writes import Reader, Write, reader_of
from . import cpu, cpuset, io, memory

if TYPE_CHECKING:
    from ...config import Resources

__all__ = ("parts", "pending_writes", "read_usage", "shared_parts")


def parts(directory: str, controllers: Collection[str]) -> dict[str, Part]:
    """What a sample of the controllers that are enabled is made of."""
    found = {"cpu": _part(directory, ("cpu.stat",), ("cpu.pressure",), cpu.parse)}
    if "cpuset" in controllers:
        steady = frozenset(cpuset.FILES)
        found["cpuset"] = _part(directory, cpuset.FILES, (), cpuset.parse, steady)
    if "memory" in controllers:
        optional = (*memory.OPTIONAL_FILES, "memory.pressure")
        steady = memory.LIMIT_FILES
        found["memory"] = _part(directory, memory.FILES, optional, memory.parse, steady)
    if "pids" in controllers:
        found["pids"] = _part(
            directory, pids.FILES, pids.OPTIONAL_FILES, pids.parse, pids.LIMIT_FILES
        )
    if "io" in controllers:
        found["blkio"] = _part(directory, (), ("io.stat", "io.pressure"), io.parse)
    return found | shared_parts(dict.fromkeys(controllers, directory), directory)


def shared_parts(paths: Mapping[str, str], unified: str | None) -> dict[str, Part]:
    """Those whose files are the same on v1 and v2, or nearly."""
    found = {}
    if directory := paths.get("hugetlb"):
        names = hugetlb.V2 if directory == unified else hugetlb.V1
        folder = hugetlb.folder(directory, names)
        found["hugetlb"] = Part((folder,), lambda r: hugetlb.parse(r.texts, names))
    if directory := paths.get("rdma"):
        steady = frozenset({"rdma.max"})
        found["rdma"] = _part(directory, (), RDMA_FILES, parse_rdma, steady)
    if directory := paths.get("misc"):
        found["misc"] = _part(directory, (), MISC_FILES, parse_misc)
    return found


def _part(
    directory: str,
    required: tuple[str, ...],
    optional: tuple[str, ...],
    parse: Callable[[Texts], object],
    steady: frozenset[str] = frozenset(),
) -> Part:
    folder = Folder(directory, required, optional)
    return Part((folder,), lambda reading: parse(reading.texts), steady)


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
    "hugetlb": hugetlb.limits_v2,
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
