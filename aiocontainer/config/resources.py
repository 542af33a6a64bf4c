"""Limits and accounting: every field of libcontainer and of the OCI resources.

``None`` leaves the kernel's value alone; ``"unlimited"`` removes a limit. Sizes are
taken as ``"64MiB"`` too. Fields say v1 or v2 where only one of them has the file.
"""

import re
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from .base import ConfigError, Flag, FrozenMap, Model, Text, Whole, as_map
from .blockio import BlockIo
from .devices import DeviceNumber
from .units import (
    ByteLimit,
    CountLimit,
    MicrosecondLimit,
    PositiveByteLimit,
    PositiveCountLimit,
)

__all__ = (
    "DEFAULT_DEVICE_RULES",
    "CpuLimits",
    "DeviceRule",
    "HugepageLimit",
    "MemoryLimits",
    "NetworkLimits",
    "RdmaLimit",
    "Resources",
)


class MemoryLimits(Model):
    """Memory a container may use, in bytes."""

    limit_bytes: PositiveByteLimit = None
    """Hard limit (v1 ``memory.limit_in_bytes``, v2 ``memory.max``)."""
    reservation_bytes: ByteLimit = None
    """Soft limit under memory pressure (v1 ``memory.soft_limit_in_bytes``, v2
    ``memory.low`` unless ``low_bytes`` is given)."""
    swap_bytes: ByteLimit = None
    """Swap alone, without the memory (v2 ``memory.swap.max``; on v1 it is added to
    ``limit_bytes``, which it then needs, for ``memory.memsw.limit_in_bytes``). The OCI
    field ``swap`` is memory and swap together."""
    kernel_bytes: ByteLimit = None
    """Kernel memory (v1 only; ignored by newer kernels)."""
    kernel_tcp_bytes: ByteLimit = None
    """Buffers of TCP sockets (v1 ``memory.kmem.tcp.limit_in_bytes``)."""
    swappiness: Annotated[Whole, Field(ge=0, le=100)] | None = None
    """Readiness to swap, 0 to 100 (v1)."""
    oom_kill_disable: Flag | None = None
    """Let processes wait instead of being killed when out of memory (v1)."""
    high_bytes: ByteLimit = None
    """Above this, processes are slowed and reclaimed from (v2 ``memory.high``)."""
    low_bytes: ByteLimit = None
    """Protected while others can give (v2 ``memory.low``)."""
    min_bytes: ByteLimit = None
    """Protected in any case (v2 ``memory.min``)."""
    zswap_bytes: ByteLimit = None
    """Compressed swap in memory (v2 ``memory.zswap.max``)."""
    oom_group: Flag | None = None
    """Kill all processes of the cgroup when one would be killed (v2)."""
    check_before_update: Flag = False
    """Refuse a new limit that is below what is in use, even where killing is allowed
    (``may_kill`` of `Container.set`). v1 always does."""


_CPUSET: Final = r"\d{1,5}(-\d{1,5})?(,\d{1,5}(-\d{1,5})?)*"


def _cpuset(text: str) -> str:
    if not re.fullmatch(_CPUSET, text, re.ASCII):
        raise ConfigError("", "should be a list of numbers and ranges, as '0-3,7'")
    for part in text.split(","):
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise ConfigError("", f"the range {part} is the wrong way round")
    return text


CpuList: TypeAlias = Annotated[Text, AfterValidator(_cpuset)]
_Microseconds: TypeAlias = Annotated[Whole, Field(ge=1, le=2**63 - 1)]


class CpuLimits(Model):
    """CPU time a container may use."""

    shares: Annotated[Whole, Field(ge=2, le=262_144)] | None = None
    """Relative weight on the v1 scale, where 1024 is the default. Converted on v2."""
    weight: Annotated[Whole, Field(ge=1, le=10_000)] | None = None
    """Relative weight on the v2 scale, where 100 is the default. Converted on v1."""
    quota_us: MicrosecondLimit = None
    """Run time allowed in each period, in microseconds (v1 ``cpu.cfs_quota_us``, v2
    ``cpu.max``)."""
    period_us: Annotated[Whole, Field(ge=1_000, le=1_000_000)] | None = None
    """Length of a period in microseconds; the kernel's default is 100000."""
    burst_us: Annotated[Whole, Field(ge=0, le=2**63 - 1)] | None = None
    """Unused quota that may be saved up, in microseconds."""
    idle: Flag | None = None
    """Run only when nobody else wants the CPU (``SCHED_IDLE``)."""
    realtime_runtime_us: Annotated[Whole, Field(ge=0, le=2**63 - 1)] | None = None
    """Real-time run time in each real-time period, in microseconds (v1)."""
    realtime_period_us: _Microseconds | None = None
    """Length of a real-time period in microseconds (v1)."""
    cpus: CpuList | None = None
    """CPUs to run on, as ``0-3,7``."""
    mems: CpuList | None = None
    """Memory nodes to allocate from, as ``0``."""

    @model_validator(mode="after")
    def _numbers_fit(self) -> Self:
        if self.shares is not None and self.weight is not None:
            raise ConfigError("weight", "says the same as shares: give one of them")
        if (
            self.burst_us is not None
            and isinstance(self.quota_us, int)
            and self.burst_us > self.quota_us
        ):
            raise ConfigError("burst_us", "is more than quota_us")
        if (self.realtime_runtime_us or 0) > (self.realtime_period_us or 1_000_000):
            raise ConfigError("realtime_runtime_us", "is more than the period")
        return self


_PAGE_SIZE: Final = r"[1-9][0-9]{0,6}(KB|MB|GB)"


def _page_size(text: str) -> str:
    if not re.fullmatch(_PAGE_SIZE, text, re.ASCII):
        raise ConfigError("", "should be a page size as the kernel writes it: '2MB'")
    return text


class HugepageLimit(Model):
    """Huge pages of one size."""

    page_size: Annotated[Text, AfterValidator(_page_size)]
    """As in the names of the cgroup files: ``2MB``, ``1GB``."""
    limit_bytes: ByteLimit = None
    """Most bytes in such pages; holds for reservations too."""


_U32: TypeAlias = Annotated[Whole, Field(ge=0, le=2**32 - 1)]


class NetworkLimits(Model):
    """Marks for the packets of the container (v1 ``net_cls`` and ``net_prio``)."""

    class_id: _U32 | None = None
    """Class of traffic, major and minor number in one."""
    priorities: Annotated[Mapping[Text, _U32], *as_map] = FrozenMap()
    """Priority on each of the host's interfaces, by name."""


class RdmaLimit(Model):
    """Use of one RDMA device."""

    hca_handles: CountLimit = None
    hca_objects: CountLimit = None


class DeviceRule(Model):
    """Allow or refuse a kind of device; of the rules that match, the last counts."""

    allow: Flag
    type: Literal["a", "c", "b"] = "a"
    """All (``a``), character (``c``) or block (``b``) devices."""
    major: DeviceNumber | None = None
    """``None`` is any."""
    minor: DeviceNumber | None = None
    """``None`` is any."""
    access: Annotated[Text, Field(pattern=r"^[rwm]{1,3}$")] = "rwm"
    """Any of read, write, mknod."""

    @model_validator(mode="after")
    def _all_is_all(self) -> Self:
        if len(set(self.access)) != len(self.access):
            raise ConfigError("access", "has a letter twice")
        if self.type == "a" and not self.major is self.minor is None:
            raise ConfigError("type", "all devices can't have a number")
        return self


def _allow(major: int, minor: int | None) -> DeviceRule:
    return DeviceRule(allow=True, type="c", major=major, minor=minor)


DEFAULT_DEVICE_RULES: Final = (
    DeviceRule(allow=False),
    # Our helper makes nodes when it is in the cgroup already. To make one gives no
    # access to it, and the program has no CAP_MKNOD.
    DeviceRule(allow=True, type="c", access="m"),
    DeviceRule(allow=True, type="b", access="m"),
    _allow(1, 3),  # null
    _allow(1, 5),  # zero
    _allow(1, 7),  # full
    _allow(1, 8),  # random
    _allow(1, 9),  # urandom
    _allow(5, 0),  # tty
    _allow(5, 1),  # console
    _allow(5, 2),  # ptmx
    _allow(136, None),  # pts
)
"""The devices of `DEFAULT_DEVICES` and terminals; nothing else."""

_UNIFIED_NAME: Final = r"[a-z0-9_]+(\.[A-Za-z0-9_]+)+"


class Resources(Model):
    """What a container may use. Nothing is limited unless said, except devices."""

    memory: MemoryLimits = MemoryLimits()
    cpu: CpuLimits = CpuLimits()
    pids_limit: PositiveCountLimit = None
    """Most processes and threads at a time."""
    block_io: BlockIo = BlockIo()
    hugepage_limits: tuple[HugepageLimit, ...] = ()
    network: NetworkLimits = NetworkLimits()
    rdma: Annotated[Mapping[Text, RdmaLimit], *as_map] = FrozenMap()
    """By device name."""
    misc: Annotated[Mapping[Text, CountLimit], *as_map] = FrozenMap()
    """By resource name, as ``sev`` (v2 ``misc.max``)."""
    devices: tuple[DeviceRule, ...] = DEFAULT_DEVICE_RULES
    """Which devices may be used; the last rule that matches counts."""
    unified: Annotated[Mapping[Text, Text], *as_map] = FrozenMap()
    """Files of the cgroup2 directory and what is written to them, last of all. On a
    hybrid machine those of controllers that its cgroup2 half has."""

    @model_validator(mode="after")
    def _names_fit(self) -> Self:
        sizes = [limit.page_size for limit in self.hugepage_limits]
        for index, size in enumerate(sizes):
            if size in sizes[:index]:
                raise ConfigError(
                    f"hugepage_limits[{index}].page_size", f"{size} is there twice"
                )
        for field in ("rdma", "misc"):
            for name in getattr(self, field):
                _require_word(f"{field}[{name}]", name)
        for name in self.network.priorities:
            _require_word(f"network.priorities[{name}]", name)
        for name in self.unified:
            _require_unified(name)
        return self


def _require_word(field: str, name: str) -> None:
    if not name or any(c.isspace() or c == "/" for c in name):
        raise ConfigError(field, "should be one word")


def _require_unified(name: str) -> None:
    if not re.fullmatch(_UNIFIED_NAME, name, re.ASCII):
        raise ConfigError(f"unified[{name}]", "should be a cgroup file's name")
    # Processes, freezing and delegation are ours to manage.
    if name.startswith("cgroup.") and not name.startswith("cgroup.max."):
        raise ConfigError(f"unified[{name}]", "is managed by the library")
