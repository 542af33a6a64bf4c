"""``linux.resources`` of an OCI document (and what ``update --resources`` takes)."""

from typing import Any, Final

from aiocontainer.errors import UnsupportedFeature

from ..document import Node
from .devices import read_device_rules

__all__ = ("read_resources",)

_U16: Final = (0, 65_535)
_U32: Final = (0, 2**32 - 1)
_U64: Final = (0, 2**64 - 1)
_INT63: Final = 2**63 - 1
_KNOWN: Final = (
    *("devices", "memory", "cpu", "pids", "blockIO", "hugepageLimits", "network"),
    *("rdma", "unified"),
)


def read_resources(resources: Node, *, is_update: bool = False) -> dict[str, Any]:
    """Keywords of `Resources` that mean the same.

    Args:
        resources: the object.
        is_update: of a container that is there: without device rules in the document,
            those that are in force stay. Else all is refused that isn't allowed.

    Raises:
        ConfigError: a value is wrong.
        UnsupportedFeature: accounting without hierarchy, which no kernel has any more.
    """
    resources.only(*_KNOWN)
    fields = {
        "memory": _memory(resources.part("memory")),
        "cpu": _cpu(resources.part("cpu")),
        "pids_limit": _pids(resources.part("pids")),
        "block_io": _block_io(resources.part("blockIO")),
        "hugepage_limits": _hugepages(resources),
        "network": _network(resources.part("network")),
        "rdma": _rdma(resources.part("rdma")),
        "unified": resources.map("unified"),
    }
    if not is_update or resources.items("devices"):
        fields["devices"] = read_device_rules(resources)
    return fields


def _said(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in fields.items() if value is not None}


def _limit(node: Node, name: str, most: int = _INT63) -> int | str | None:
    """A signed limit, where any negative number means none."""
    number = node.number(name, most=most)
    if number is None:
        return None
    return "unlimited" if number < 0 or number > _INT63 else number


def _nonzero(node: Node, name: str) -> int | str | None:
    """A limit where the common runtimes take 0 for "not said"."""
    return _limit(node, name) or None


def _memory(node: Node) -> dict[str, Any]:
    node.only(
        *("limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness"),
        *("disableOOMKiller", "useHierarchy", "checkBeforeUpdate"),
    )
    if node.flag("useHierarchy") is False:
        raise UnsupportedFeature(
            node.at("useHierarchy"), "the kernel always counts by hierarchy since 5.11"
        )
    limit = _nonzero(node, "limit")
    return _said(
        limit_bytes=limit,
        reservation_bytes=_limit(node, "reservation"),
        swap_bytes=_swap(node, limit),
        kernel_bytes=_limit(node, "kernel"),
        kernel_tcp_bytes=_limit(node, "kernelTCP"),
        swappiness=node.number("swappiness", 0, 100),
        oom_kill_disable=node.flag("disableOOMKiller"),
        check_before_update=node.flag("checkBeforeUpdate"),
    )


def _swap(node: Node, limit: int | str | None) -> int | str | None:
    """Swap alone. OCI says memory and swap together."""
    both = _nonzero(node, "swap")
    if both is None or isinstance(both, str):
        return both
    if not isinstance(limit, int):
        raise node.wrong("swap", "needs a memory limit, which is a part of it")
    if both < limit:
        raise node.wrong("swap", "is memory and swap together: less than the limit")
    return both - limit


def _cpu(node: Node) -> dict[str, Any]:
    node.only(
        *("shares", "quota", "burst", "period", "realtimeRuntime", "realtimePeriod"),
        *("cpus", "mems", "idle"),
    )
    shares = node.number("shares", *_U64)
    idle = node.number("idle", 0, 1)
    runtime = node.number("realtimeRuntime", 0)
    return _said(
        # The kernel brings shares into these bounds without a word.
        shares=min(max(shares, 2), 262_144) if shares else None,
        quota_us=_nonzero(node, "quota"),
        burst_us=node.number("burst", 0),
        period_us=node.number("period", 0) or None,
        realtime_runtime_us=runtime,
        realtime_period_us=node.number("realtimePeriod", 0) or None,
        cpus=node.word("cpus"),
        mems=node.word("mems"),
        idle=None if idle is None else bool(idle),
    )


def _pids(node: Node) -> int | str | None:
    node.only("limit")
    limit = _limit(node, "limit")
    # The first process isn't stopped by a limit of 0, but all others are.
    return 1 if limit == 0 else limit


def _block_io(node: Node) -> dict[str, Any]:
    node.only(
        *("weight", "leafWeight", "weightDevice", "throttleReadBpsDevice"),
        *("throttleWriteBpsDevice", "throttleReadIOPSDevice"),
        "throttleWriteIOPSDevice",
    )
    return _said(
        weight=node.number("weight", *_U16) or None,
        leaf_weight=node.number("leafWeight", *_U16) or None,
        weight_devices=[_weight(entry) for entry in node.nodes("weightDevice")],
        throttle_read_bps=_rates(node, "throttleReadBpsDevice", "bytes_per_s"),
        throttle_write_bps=_rates(node, "throttleWriteBpsDevice", "bytes_per_s"),
        throttle_read_iops=_rates(node, "throttleReadIOPSDevice", "operations_per_s"),
        throttle_write_iops=_rates(node, "throttleWriteIOPSDevice", "operations_per_s"),
    )


def _device(entry: Node) -> dict[str, Any]:
    return {
        "major": entry.need_number("major", 0),
        "minor": entry.need_number("minor", 0),
    }


def _weight(entry: Node) -> dict[str, Any]:
    entry.only("major", "minor", "weight", "leafWeight")
    weight = entry.number("weight", *_U16) or None
    leaf_weight = entry.number("leafWeight", *_U16) or None
    if weight is None and leaf_weight is None:
        raise entry.wrong("weight", "is missing, and so is leafWeight")
    return _device(entry) | _said(weight=weight, leaf_weight=leaf_weight)


def _rates(node: Node, name: str, field: str) -> list[dict[str, Any]]:
    rates = []
    for entry in node.nodes(name):
        entry.only("major", "minor", "rate")
        rate = entry.need_number("rate", *_U64)
        # On v1 writing 0 removes the limit.
        limit = rate if 0 < rate <= _INT63 else "unlimited"
        rates.append({**_device(entry), field: limit})
    return rates


def _hugepages(resources: Node) -> list[dict[str, Any]]:
    limits = []
    for entry in resources.nodes("hugepageLimits"):
        entry.only("pageSize", "limit")
        if "limit" not in entry:
            raise entry.wrong("limit", "is missing")
        entry.number("limit", *_U64)
        limits.append(
            {
                "page_size": entry.need("pageSize"),
                "limit_bytes": _limit(entry, "limit", _U64[1]),
            }
        )
    return limits


def _network(node: Node) -> dict[str, Any]:
    node.only("classID", "priorities")
    priorities: dict[str, int] = {}
    for entry in node.nodes("priorities"):
        entry.only("name", "priority")
        name = entry.need("name")
        if name in priorities:
            raise entry.wrong("name", f"{name[:40]} is there twice")
        priorities[name] = entry.need_number("priority", *_U32)
    return _said(class_id=node.number("classID", *_U32), priorities=priorities)


def _rdma(node: Node) -> dict[str, Any]:
    limits = {}
    for name in node:
        entry = node.node(name)
        if entry is None:
            continue
        entry.only("hcaHandles", "hcaObjects")
        limit = _said(
            hca_handles=_limit_of_32(entry, "hcaHandles"),
            hca_objects=_limit_of_32(entry, "hcaObjects"),
        )
        if not limit:
            raise entry.wrong("hcaHandles", "is missing, and so is hcaObjects")
        limits[name] = limit
    return limits


def _limit_of_32(entry: Node, name: str) -> int | str | None:
    number = entry.number(name, *_U32)
    return "unlimited" if number == _U32[1] else number
