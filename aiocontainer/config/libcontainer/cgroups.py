"""``cgroups`` of a ``container.json``: its place, and all limits."""

import re
from typing import Any, Final

from aiocontainer.errors import UnsupportedFeature

from ..document import Node
from ..oci.cgroup_path import CgroupManager
from ..oci.cgroup_path import read_cgroup as read_path
from .devices import read_rules

__all__ = ("read_cgroup", "read_resources")

_U16: Final = (0, 65_535)
_U32: Final = (0, 2**32 - 1)
_U64: Final = (0, 2**64 - 1)
_INT63: Final = 2**63 - 1
_PLACE: Final = ("name", "parent", "path", "scope_prefix", "slice", "paths", "systemd")
_THROTTLES: Final = {
    "blkio_throttle_read_bps_device": ("throttle_read_bps", "bytes_per_s"),
    "blkio_throttle_write_bps_device": ("throttle_write_bps", "bytes_per_s"),
    "blkio_throttle_read_iops_device": ("throttle_read_iops", "operations_per_s"),
    "blkio_throttle_write_iops_device": ("throttle_write_iops", "operations_per_s"),
}
_LIMITS: Final = (
    *("allow_all_devices", "allowed_devices", "denied_devices", "devices"),
    *("memory", "memory_reservation", "memory_swap", "kernel_memory"),
    *("kernel_memory_tcp", "memory_swappiness", "oom_kill_disable", "cpu_shares"),
    *("cpu_quota", "cpu_period", "cpu_burst", "cpu_idle", "cpu_rt_runtime"),
    *("cpu_rt_quota", "cpu_rt_period", "cpu_weight", "cpuset_cpus", "cpuset_mems"),
    *("pids_limit", "blkio_weight", "blkio_leaf_weight", "blkio_weight_device"),
    *("hugetlb_limit", "net_prio_ifpriomap", "net_cls_classid"),
    *("net_cls_classid_u", "unified", "freezer", "skip_devices", *_THROTTLES),
)
_NUMBERS: Final = re.compile(r"(\d{1,4}):(\d{1,7})\s+(\d{1,20})", re.ASCII)


def read_cgroup(cgroups: Node, manager: CgroupManager) -> dict[str, Any]:
    """Keywords of `CgroupSettings`. systemd's scope is ``<parent>-<name>.scope``."""
    cgroups.only(*_PLACE, *_LIMITS, "resources", "Resources")
    path, name = cgroups.word("path"), cgroups.word("name")
    parent = cgroups.word("parent")
    if manager == "systemd":
        prefix = cgroups.word("scope_prefix") or parent
        unit = None if name is None else f"{prefix or 'libcontainer'}-{name}.scope"
        return {"mode": "systemd", "parent": cgroups.word("slice"), "name": unit}
    if path is None and name is not None:
        path = name if parent is None else f"{parent.rstrip('/')}/{name}"
    place = Node({"cgroupsPath": path}, cgroups.path, cgroups.warnings)
    return read_path(place, manager, {})


def read_resources(cgroups: Node) -> dict[str, Any]:
    """Keywords of `Resources`, from ``cgroups`` and from ``resources`` in it."""
    nested = cgroups.node("resources") or cgroups.node("Resources")
    if nested is None:
        return _resources(cgroups)
    nested.only(*_LIMITS)
    return _resources(nested)


def _resources(node: Node) -> dict[str, Any]:
    if (state := node.word("freezer")) not in (None, "THAWED"):
        raise UnsupportedFeature(node.at("freezer"), f"{state} from the start")
    shares = node.number("cpu_shares", *_U64)
    fields: dict[str, Any] = {
        "memory": _memory(node),
        "cpu": _said(
            shares=min(max(shares, 2), 262_144) if shares else None,
            quota_us=_limit(node, "cpu_quota"),
            period_us=node.number("cpu_period", *_U64) or None,
            burst_us=node.number("cpu_burst", 0) or None,
            realtime_runtime_us=_either(node, "cpu_rt_runtime", "cpu_rt_quota"),
            realtime_period_us=node.number("cpu_rt_period", 0) or None,
            weight=None if shares else node.number("cpu_weight", 0, 10_000) or None,
            cpus=node.word("cpuset_cpus"),
            mems=node.word("cpuset_mems"),
            idle=None
            if (idle := node.number("cpu_idle", 0, 1)) is None
            else bool(idle),
        ),
        "pids_limit": _limit(node, "pids_limit"),
        "block_io": _block_io(node),
        "hugepage_limits": [_hugepage(entry) for entry in node.nodes("hugetlb_limit")],
        "network": _network(node),
        "unified": node.map("unified"),
    }
    fields["devices"] = [] if node.flag("skip_devices") else read_rules(node)
    return fields


def _said(**fields: Any) -> dict[str, Any]:  # noqa: ANN401
    return {name: value for name, value in fields.items() if value is not None}


def _limit(node: Node, name: str) -> int | str | None:
    """Negative is no limit, and 0 says nothing."""
    number = node.number(name) or None
    return "unlimited" if number is not None and number < 0 else number


def _either(node: Node, *names: str) -> int | None:
    found = [node.number(name, 0) for name in names]
    return next((number for number in found if number), None)


def _memory(node: Node) -> dict[str, Any]:
    limit, both = _limit(node, "memory"), _limit(node, "memory_swap")
    if isinstance(both, int):
        if not isinstance(limit, int):
            raise node.wrong("memory_swap", "needs a memory limit, which is part of it")
        if both < limit:
            raise node.wrong("memory_swap", "is less than the memory limit in it")
        both -= limit
    # -1, written as a number without a sign in runc's, leaves it alone. So does 0: it
    # can't be told from what Go writes for a field that isn't set.
    swappiness = node.number("memory_swappiness", -1, _U64[1])
    if swappiness in (-1, 0, _U64[1]):
        swappiness = None
    return _said(
        limit_bytes=limit,
        reservation_bytes=_limit(node, "memory_reservation"),
        swap_bytes=both,
        kernel_bytes=_limit(node, "kernel_memory"),
        kernel_tcp_bytes=_limit(node, "kernel_memory_tcp"),
        swappiness=swappiness,
        oom_kill_disable=node.flag("oom_kill_disable") or None,
    )


def _block_io(node: Node) -> dict[str, Any]:
    fields: dict[str, Any] = _said(
        weight=node.number("blkio_weight", *_U16) or None,
        leaf_weight=node.number("blkio_leaf_weight", *_U16) or None,
    )
    name = "blkio_weight_device"
    if isinstance(node.raw(name), str):
        fields["weight_devices"] = [
            {"major": major, "minor": minor, "weight": value}
            for major, minor, value in _lines(node, name)
        ]
    else:
        fields["weight_devices"] = [
            {
                **dict(zip(("major", "minor"), _numbers(entry), strict=True)),
                "weight": entry.number("weight", *_U16) or None,
                "leaf_weight": entry.number("leafWeight", *_U16) or None,
            }
            for entry in node.nodes(name)
        ]
    for name, (field, value) in _THROTTLES.items():
        fields[field] = _rates(node, name, value)
    return fields


def _rates(node: Node, name: str, field: str) -> list[dict[str, Any]]:
    if isinstance(node.raw(name), str):
        rates = _lines(node, name)
    else:
        rates = [
            (*_numbers(entry), entry.number("rate", *_U64) or 0)
            for entry in node.nodes(name)
        ]
    return [
        {
            "major": major,
            "minor": minor,
            field: rate if 0 < rate <= _INT63 else "unlimited",
        }
        for major, minor, rate in rates
    ]


def _numbers(entry: Node) -> tuple[int, int]:
    return entry.number("major", 0) or 0, entry.number("minor", 0) or 0


def _lines(node: Node, name: str) -> list[tuple[int, int, int]]:
    """``8:0 1048576`` lines, as the cgroup files take them."""
    found = []
    for line in (node.word(name) or "").splitlines():
        match = _NUMBERS.fullmatch(line.strip())
        if match is None:
            raise node.wrong(name, f"should be major:minor and a number: {line[:40]!r}")
        found.append((int(match[1]), int(match[2]), int(match[3])))
    return found


def _hugepage(entry: Node) -> dict[str, Any]:
    entry.only("page_size", "limit")
    limit = entry.number("limit", *_U64) or 0
    return {
        "page_size": entry.need("page_size"),
        "limit_bytes": limit if limit <= _INT63 else "unlimited",
    }


def _network(node: Node) -> dict[str, Any]:
    priorities: dict[str, int] = {}
    for entry in node.nodes("net_prio_ifpriomap"):
        entry.only("interface", "priority")
        name = entry.need("interface")
        if name in priorities:
            raise entry.wrong("interface", f"{name[:40]} is there twice")
        priorities[name] = entry.number("priority", *_U32) or 0
    class_id = node.number("net_cls_classid_u", *_U32) or None
    if (text := node.word("net_cls_classid")) is not None:
        try:
            class_id = int(text[:40], 0)
        except ValueError:
            raise node.wrong("net_cls_classid", "should be a number") from None
        if not 0 <= class_id <= _U32[1]:
            raise node.wrong("net_cls_classid", f"should be between 0 and {_U32[1]}")
    return _said(class_id=class_id, priorities=priorities)
